import { CacheError } from "./errors.js";
import { WRITERS_MAX } from "./limits.js";
import type { LeaseToken, Writer } from "./types.js";

/** What happened to leases, for the log. */
export interface LeaseEvents {
  lapsed(writer: Writer, token: LeaseToken): void;
  replaced(writer: Writer): void;
}

/**
 * The writers that a homeserver's clients named, and their leases. While one of
 * them neither holds a live lease nor has released it, somebody may have
 * committed a change that nobody announced: the homeserver is suspended.
 *
 * Times are milliseconds of a monotonic clock, judged at the start of each call:
 * `settle` before anything else.
 */
export class WriterLeases {
  readonly #writers = new Map<Writer, WriterState>();
  readonly #durationMs: number;
  readonly #newToken: () => LeaseToken;
  readonly #events: LeaseEvents;
  /** Suspension can only begin by itself at this time; spares a walk a call. */
  #nextExpiryMs = Number.POSITIVE_INFINITY;
  #suspended = false;

  constructor(durationMs: number, newToken: () => LeaseToken, events: LeaseEvents) {
    this.#durationMs = durationMs;
    this.#newToken = newToken;
    this.#events = events;
  }

  get count(): number {
    return this.#writers.size;
  }

  /** As of the last `settle`. */
  get suspended(): boolean {
    return this.#suspended;
  }

  /** Lets leases that have run out lapse, and says whether the homeserver is suspended now. */
  settle(nowMs: number): boolean {
    if (nowMs < this.#nextExpiryMs) return this.#suspended;
    for (const [writer, state] of this.#writers) {
      const { lease } = state;
      if (lease === undefined || state.standing !== "held" || nowMs < lease.expiresAtMs) continue;
      state.standing = "lapsed";
      this.#events.lapsed(writer, lease.tokens.at(-1)!.token);
    }
    return this.#recount();
  }

  /** Adds names. A name that is new has no lease yet: it suspends the homeserver. */
  declare(writers: readonly Writer[]): boolean {
    const added = new Set(writers.filter((writer) => !this.#writers.has(writer)));
    if (this.#writers.size + added.size > WRITERS_MAX) {
      const description = `the homeserver would have more than ${WRITERS_MAX} writers`;
      throw new CacheError("invalidArgument", description, {
        violations: [{ field: "writers", description }],
      });
    }
    for (const writer of added) this.#writers.set(writer, { standing: "declared", lease: undefined });
    return this.#recount();
  }

  /** Whether `token` continues a writer's live lease; any other makes its bearer a new process. */
  continues(writer: Writer, token: LeaseToken): boolean {
    const state = this.#writers.get(writer);
    return (
      state?.standing === "held" && state.lease !== undefined && issued(state.lease, token) !== undefined
    );
  }

  /** Ends a live lease whose name somebody else takes over: its owner may have died owing an announcement. */
  end(writer: Writer): boolean {
    const state = this.#writers.get(writer);
    if (state?.standing === "held") {
      state.standing = "lapsed";
      this.#events.replaced(writer);
    }
    return this.#recount();
  }

  /**
   * Renews the live lease that `token` continues, else grants a new one, and
   * returns the token for the next renewal. A renewed lease runs from the moment
   * the token it carries was issued, so a renewal that was late on its way
   * prolongs nothing. Any token of the live lease will do, not the last alone:
   * its reply may have been lost.
   */
  renew(writer: Writer, token: LeaseToken, nowMs: number): LeaseToken {
    const state = this.#writers.get(writer)!;
    const next = { token: this.#newToken(), issuedAtMs: nowMs };
    if (this.continues(writer, token)) {
      const lease = state.lease!;
      const issuedAtMs = issued(lease, token)!;
      lease.expiresAtMs = Math.max(lease.expiresAtMs, issuedAtMs + this.#durationMs);
      lease.tokens.push(next);
      if (lease.tokens.length > TOKENS_KEPT) lease.tokens.shift();
    } else {
      state.lease = { tokens: [next], expiresAtMs: nowMs + this.#durationMs };
      state.standing = "held";
    }
    this.#recount();
    return next.token;
  }

  /**
   * Releases the writer's last lease if `token` is one of it. An empty token
   * releases only a writer that never got one.
   */
  release(writer: Writer, token: LeaseToken): boolean {
    const state = this.#writers.get(writer);
    if (state !== undefined) {
      const { lease } = state;
      const named = lease === undefined ? token === NO_TOKEN : issued(lease, token) !== undefined;
      if (named) state.standing = "released";
    }
    return this.#recount();
  }

  #recount(): boolean {
    this.#suspended = false;
    this.#nextExpiryMs = Number.POSITIVE_INFINITY;
    for (const { standing, lease } of this.#writers.values()) {
      if (standing === "held") this.#nextExpiryMs = Math.min(this.#nextExpiryMs, lease!.expiresAtMs);
      else if (standing !== "released") this.#suspended = true;
    }
    return this.#suspended;
  }
}

interface Lease {
  /** The newest tokens, oldest first. */
  readonly tokens: { readonly token: LeaseToken; readonly issuedAtMs: number }[];
  expiresAtMs: number;
}

interface WriterState {
  standing: "declared" | "held" | "lapsed" | "released";
  /** The last lease granted since the log started. */
  lease: Lease | undefined;
}

const NO_TOKEN = "" as LeaseToken;
/** A writer renews every second of five: this many replies may be lost in a row. */
const TOKENS_KEPT = 8;

function issued(lease: Lease, token: LeaseToken): number | undefined {
  return lease.tokens.find((candidate) => candidate.token === token)?.issuedAtMs;
}
