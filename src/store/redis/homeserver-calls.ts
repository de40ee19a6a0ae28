import { randomBytes } from "node:crypto";
import { CacheError } from "../../core/errors.js";
import { EPOCH_BYTES } from "../../core/limits.js";
import { type RedisLink, type RedisLog, RedisTrouble, type ScriptArgument } from "./link.js";
import type { Proofs } from "./proofs.js";
import type { RemoteHomeserver } from "./remote-homeserver.js";
import { readReply, type ScriptReply } from "./reply.js";
import type { Script } from "./scripts.js";

/** Runs scripts on a homeserver's state, and says whether their replies may be believed. */
export class HomeserverCalls {
  readonly #link: RedisLink;
  readonly #proofs: Proofs;
  readonly #log: RedisLog;
  readonly #leaseDurationMs: number;

  constructor(options: {
    readonly link: RedisLink;
    readonly proofs: Proofs;
    readonly log: RedisLog;
    readonly leaseDurationMs: number;
  }) {
    this.#link = options.link;
    this.#proofs = options.proofs;
    this.#log = options.log;
    this.#leaseDurationMs = options.leaseDurationMs;
  }

  /** The reply of a script; undefined if none may be believed now. */
  async tryToRun(
    homeserver: RemoteHomeserver,
    script: Script,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<ScriptReply | undefined> {
    try {
      const call = homeserver.numberCall();
      const reply = await this.#send(homeserver, script, keys, args);
      if (!(await this.#proofs.confirm(reply.state.provenance, homeserver.keys.proof))) return undefined;
      homeserver.learn(reply.state, call);
      return reply;
    } catch (error) {
      this.note(error, homeserver.keys.proof);
      return undefined;
    }
  }

  /** The same; rejects if none may be believed now. */
  async run(
    homeserver: RemoteHomeserver,
    script: Script,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<ScriptReply> {
    const reply = await this.tryToRun(homeserver, script, keys, args);
    if (reply === undefined) throw unavailable();
    return reply;
  }

  /** The reply of a script that announces a change: nobody is served what was before any more. */
  async announce(
    homeserver: RemoteHomeserver,
    script: Script,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<ScriptReply> {
    try {
      const call = homeserver.numberCall();
      const reply = await this.#send(homeserver, script, keys, args);
      if (!(await this.#proofs.confirmChange(reply.state.provenance, homeserver.keys.proof)))
        throw unavailable();
      homeserver.learn(reply.state, call);
      return reply;
    } catch (error) {
      this.note(error, homeserver.keys.proof);
      throw unavailable(error);
    }
  }

  /** Tells the operator what went wrong; `key` is one of the server that did not do what it was asked to. */
  note(error: unknown, key?: string): void {
    if (error instanceof CacheError) return;
    const trouble = error instanceof RedisTrouble ? error : new RedisTrouble("other", String(error), error);
    // One that is full is well, and so is one that was not asked: only fills are refused.
    if (key !== undefined && trouble.kind !== "full" && trouble.kind !== "overload") this.#proofs.doubt(key);
    this.#log.trouble(trouble.kind, trouble.message);
  }

  async #send(
    homeserver: RemoteHomeserver,
    script: Script,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<ScriptReply> {
    const { state, log, fence, channel } = homeserver.keys;
    const common = [freshEpoch(), channel, String(this.#leaseDurationMs)];
    const reply = readReply(await this.#link.run(script, [state, log, fence, ...keys], [...common, ...args]));
    homeserver.report(reply.state);
    return reply;
  }
}

/** An epoch that was never used, for a script that may need one: few do, so it must cost little. */
function freshEpoch(): string {
  epochsMade += 1;
  return EPOCH_START + epochsMade.toString(16).padStart(EPOCH_COUNT_DIGITS, "0");
}

const EPOCH_COUNT_DIGITS = 12;
const EPOCH_START = randomBytes(EPOCH_BYTES).toString("hex").slice(EPOCH_COUNT_DIGITS);
let epochsMade = 0;

export function unavailable(cause?: unknown): CacheError {
  if (cause instanceof CacheError) return cause;
  const reason =
    cause instanceof RedisTrouble && cause.kind === "full"
      ? "the store is full, and takes nothing for now"
      : "the store does not answer, or may be out of date";
  return new CacheError("unavailable", `${reason}: try again`, { cause });
}
