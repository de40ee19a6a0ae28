import type { CacheError } from "../core/errors.js";
import type { Capacity } from "./admission/capacity.js";
import { exhausted } from "./refusals.js";
import { FOREIGN_REQUEST_BYTES_MAX } from "./rpc-limits.js";
import { TimeLimit } from "./time-limit.js";
import { TrackedCall } from "./tracked-call.js";

/**
 * A call of another service on the same server: health or reflection, which must
 * answer while the cache is at its capacities or drains. They have bounds of
 * their own, unary calls apart from streams, and a client that does not read their replies is not read either.
 */
export class ForeignCall extends TrackedCall {
  #capacity: Capacity | undefined;
  /** Of requests that are not complete yet. */
  #incomingBytes = 0;
  #unsentMessages = 0;
  #isReadDue = false;
  /** Runs until the first request is complete, and while a reply is on its way. */
  readonly #timeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.reset());

  protected override admit(): CacheError | undefined {
    const { foreignCalls, foreignStreams } = this.context;
    const capacity = this.labels.type === "unary" ? foreignCalls : foreignStreams;
    if (!capacity.take()) return exhausted("too many calls of this service");
    this.#capacity = capacity;
    this.#timeLimit.arm();
    return undefined;
  }

  protected override receivedBytes(bytes: number): void {
    this.#incomingBytes += bytes;
    if (this.#incomingBytes > FOREIGN_REQUEST_BYTES_MAX) this.reset();
  }

  protected override receivedMessage(): CacheError | undefined {
    this.#incomingBytes = 0;
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
    this.#capacity?.give();
  }
}
