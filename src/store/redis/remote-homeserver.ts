import { type Counters, newCounters } from "../../core/counters.js";
import type { HomeserverStats } from "../../core/store.js";
import type { EpochReason, StoreLog } from "../../core/store-log.js";
import type { Homeserver, LeaseToken, Position } from "../../core/types.js";
import type { HomeserverKeys } from "./keys.js";
import type { LogFollower } from "./log-follower.js";
import type { Lookups } from "./lookups.js";
import type { RemoteState } from "./reply.js";

/** What this process knows of a homeserver whose state is in Redis. */
export class RemoteHomeserver {
  readonly name: Homeserver;
  readonly keys: HomeserverKeys;
  readonly lookups: Lookups;
  readonly follower: LogFollower;
  readonly counters: Counters;
  lastCallMs: number;
  readonly #log: StoreLog;
  #state: RemoteState | undefined;
  /** Lapsed leases that the operator was told of, by their tokens. */
  #reported = new Set<LeaseToken>();
  #sent = 0;
  /** Which call the state is from. */
  #learned = 0;

  constructor(options: {
    readonly name: Homeserver;
    readonly nowMs: number;
    readonly keys: HomeserverKeys;
    readonly log: StoreLog;
    readonly makeLookups: (homeserver: RemoteHomeserver) => Lookups;
    readonly makeFollower: (homeserver: RemoteHomeserver) => LogFollower;
  }) {
    this.name = options.name;
    this.keys = options.keys;
    this.lastCallMs = options.nowMs;
    this.#log = options.log;
    this.counters = newCounters();
    this.lookups = options.makeLookups(this);
    this.follower = options.makeFollower(this);
  }

  /** While it has a subscriber: its writers are kept in Redis. */
  get isHeld(): boolean {
    return this.follower.count > 0;
  }

  /**
   * The newest position that a trusted reply bore; undefined: none did. It serves where
   * Redis does not answer: an old position is fenced by more, never by less.
   */
  get position(): Position | undefined {
    return this.#state?.position;
  }

  /** The number of a call that is sent now. */
  numberCall(): number {
    this.#sent += 1;
    return this.#sent;
  }

  /**
   * Takes note of the reply to a call that was confirmed. A change is confirmed late: what a later
   * call was told, perhaps of a newer epoch, stays.
   */
  learn(state: RemoteState, call: number): void {
    if (call < this.#learned) return;
    this.#learned = call;
    const known = this.#state?.position;
    if (known?.epoch === state.position.epoch && known.sequence > state.position.sequence) return;
    if (known?.epoch !== state.position.epoch) this.counters.epochs += 1;
    this.#state = state;
  }

  /** Tells the operator what a call brought about or found, once. */
  report({ position, started, lapsed }: RemoteState): void {
    for (const { writer, token } of lapsed) {
      if (!this.#reported.has(token)) this.#log.leaseLapsed(this.name, writer, token);
    }
    if (lapsed.length > 0 || this.#reported.size > 0)
      this.#reported = new Set(lapsed.map(({ token }) => token));
    if (started === "") return;
    // A script sees that there is nothing, and cannot know whether there was.
    const isLost = started === "started" && this.#state !== undefined;
    this.#log.epochStarted(this.name, position.epoch, isLost ? "lost" : (started as EpochReason));
  }

  reportReplaced(writer: Parameters<StoreLog["leaseReplaced"]>[1]): void {
    this.#log.leaseReplaced(this.name, writer);
  }

  stats(logBytesMax: number): HomeserverStats {
    const state = this.#state;
    return {
      ...this.counters,
      subscribers: this.follower.hub.count,
      writers: state?.writers ?? 0,
      suspended: state?.suspended ?? false,
      logChanges: state === undefined ? 0 : state.position.sequence - state.trimmedThrough,
      logEventIds: state?.logEventIds ?? 0,
      logBytes: state?.logBytes ?? 0,
      logBytesMax,
    };
  }
}
