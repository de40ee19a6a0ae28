import { type Counters, newCounters } from "./counters.js";
import { InvalidationLog } from "./invalidation-log.js";
import { LOG_EVENT_IDS_MAX } from "./limits.js";
import { HomeserverMetadata } from "./metadata-cache.js";
import type { HomeserverStats } from "./store.js";
import type { EpochReason, StoreLog } from "./store-log.js";
import { SubscriberHub } from "./subscription.js";
import type { Change, Epoch, Homeserver, LeaseToken, Position } from "./types.js";
import { WriterLeases } from "./writer-leases.js";

/** What a homeserver's state needs from outside. */
export interface HomeserverDeps {
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  readonly newEpoch: () => Epoch;
  readonly newLeaseToken: () => LeaseToken;
  readonly leaseDurationMs: number;
  /** A log that held nothing is about to hold a change: it needs its share of the log budget. */
  readonly onLogStarts: (log: InvalidationLog) => void;
  /** Runs `wake` soon, in a turn of the event loop of its own. */
  readonly defer: (wake: () => void) => void;
  /** Takes metadata that no read can reach any more, to be swept. */
  readonly discard: (metadata: HomeserverMetadata) => void;
  readonly log: StoreLog;
}

/** All that is kept for one homeserver; nothing of it is shared with another. */
export class HomeserverState {
  readonly name: Homeserver;
  readonly log: InvalidationLog;
  readonly leases: WriterLeases;
  readonly hub: SubscriberHub;
  readonly counters: Counters = newCounters();
  metadata = new HomeserverMetadata();
  /** When it last had a call or a subscriber. */
  lastCallMs: number;
  readonly #deps: HomeserverDeps;
  #suspended = false;

  constructor(name: Homeserver, nowMs: number, deps: HomeserverDeps) {
    this.name = name;
    this.#deps = deps;
    this.lastCallMs = nowMs;
    this.log = new InvalidationLog(deps.newEpoch(), {
      bytesMax: 0,
      eventIdsMax: LOG_EVENT_IDS_MAX,
    });
    this.leases = new WriterLeases(deps.leaseDurationMs, deps.newLeaseToken, {
      lapsed: (writer, token) => deps.log.leaseLapsed(name, writer, token),
      replaced: (writer) => deps.log.leaseReplaced(name, writer),
    });
    this.hub = new SubscriberHub({
      log: this.log,
      counters: this.counters,
      defer: deps.defer,
      settle: () => {
        this.settle(deps.clock());
        return true;
      },
      // While a subscription lasts, only suspension starts a new epoch.
      epochReason: () => "suspended",
      onClose: () => {
        this.lastCallMs = deps.clock();
      },
    });
    this.#announceEpoch("started");
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  /** While it has a subscriber or a writer. */
  get isHeld(): boolean {
    return this.hub.count > 0 || this.leases.count > 0;
  }

  /**
   * Judges the leases. Comes before anything else that a call does: what the
   * homeserver held before a lapse must not be seen after it.
   */
  settle(nowMs: number): void {
    this.#follow(this.leases.settle(nowMs));
  }

  /** Applies a change of the leases; entering and leaving suspension each start a new epoch. */
  changeLeases<T>(change: (leases: WriterLeases) => T): T {
    const result = change(this.leases);
    this.#follow(this.leases.suspended);
    return result;
  }

  /** Appends to the log and tells the subscribers. */
  announce(change: Change): Position {
    if (this.log.size.changes === 0) this.#deps.onLogStarts(this.log);
    const position = this.log.append(change);
    this.counters.changes[change.kind] += 1;
    this.hub.wake();
    return position;
  }

  /** Drops all entries, in constant time. */
  dropMetadata(): void {
    this.#deps.discard(this.metadata);
    this.metadata = new HomeserverMetadata();
  }

  stats(): HomeserverStats {
    const size = this.log.size;
    return {
      ...this.counters,
      subscribers: this.hub.count,
      writers: this.leases.count,
      suspended: this.#suspended,
      logChanges: size.changes,
      logEventIds: size.eventIds,
      logBytes: size.bytes,
      logBytesMax: size.bytesMax,
    };
  }

  #follow(suspended: boolean): void {
    if (suspended === this.#suspended) return;
    this.#suspended = suspended;
    this.dropMetadata();
    this.log.restart(this.#deps.newEpoch());
    this.#announceEpoch(suspended ? "suspended" : "resumed");
    this.hub.wake();
  }

  #announceEpoch(reason: EpochReason): void {
    this.counters.epochs += 1;
    this.#deps.log.epochStarted(this.name, this.log.position.epoch, reason);
  }
}
