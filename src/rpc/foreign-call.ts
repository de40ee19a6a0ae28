import type { CacheError } from "../core/errors.js";
import { exhausted } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";
import { TrackedCall } from "./tracked-call.js";

/**
 * A call of another service on the same server: health or reflection, which must
 * answer while the cache is at its capacities or drains. They have a bound of
 * their own, and a client that does not read their replies is not read either.
 */
export class ForeignCall extends TrackedCall {
  #isCounted = false;
  #unsentMessages = 0;
  #isReadDue = false;
  /** Runs until the first request is complete, and while a reply is on its way. */
  readonly #timeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.reset());

  protected override admit(): CacheError | undefined {
    if (!this.context.foreignCalls.take()) return exhausted("too many calls of this service");
    this.#isCounted = true;
    this.#timeLimit.arm();
    return undefined;
  }

  protected override receivedBytes(): void {}

  protected override receivedMessage(): CacheError | undefined {
    this.#timeLimit.disarm();
    return undefined;
  }

  override startRead(): void {
    if (this.#unsentMessages > 0) this.#isReadDue = true;
    else this.call.startRead();
  }

  override sendMessage(message: unknown, callback: () => void): void {
    this.#unsentMessages += 1;
    this.#timeLimit.arm();
    this.call.sendMessage(message, () => {
      this.#unsentMessages -= 1;
      callback();
      if (this.#unsentMessages > 0) return;
      this.#timeLimit.disarm();
      if (!this.#isReadDue) return;
      this.#isReadDue = false;
      this.call.startRead();
    });
  }

  protected override release(): void {
    this.#timeLimit.disarm();
    if (this.#isCounted) this.context.foreignCalls.give();
  }
}
