import { type EntryHolding, HomeserverMetadata } from "../memory/metadata-cache.js";
import { type Counters, newCounters } from "../model/counters.js";
import { LOG_EVENT_IDS_MAX } from "../model/limits.js";
import type { Refusal } from "../model/quotas.js";
import type { HomeserverStats, RestartReason, StoreObserver } from "../model/store.js";
import type { Change, Epoch, Homeserver, Position } from "../model/types.js";
import { ChangeRate } from "./change-rate.js";
import { InvalidationLog } from "./invalidation-log.js";
import { SubscriberHub } from "./subscription.js";

/** What the state of a homeserver depends on. */
export interface HomeserverDeps {
  /** Its part of the memory of both caches. */
  readonly holding: EntryHolding;
  /** Changes a second; undefined: as many as it makes. */
  readonly changesPerSecond?: number | undefined;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** A log that was empty is about to hold a change and needs its share of the log budget. */
  readonly onLogStarts: (log: InvalidationLog) => void;
  /** Runs `wake` soon, in a turn of the event loop of its own. */
  readonly defer: (wake: () => void) => void;
  /** Takes metadata that no read can reach any more, for the sweep. */
  readonly discard: (metadata: HomeserverMetadata) => void;
  readonly observer: StoreObserver;
}

/** The whole state of one homeserver. Nothing in it is shared with another homeserver. */
export class HomeserverState {
  readonly name: Homeserver;
  /** The copy of the end of the homeserver's invalidation log. */
  readonly log: InvalidationLog;
  readonly hub: SubscriberHub;
  readonly counters: Counters = newCounters();
  metadata: HomeserverMetadata;
  /** When it last had a call or a subscriber. */
  lastCallMs: number;
  readonly #deps: HomeserverDeps;
  readonly #isCurrent: () => boolean;
  readonly #changeRate: ChangeRate | undefined;

  /** `isCurrent`: whether the copy of the log is known to be current at this moment. */
  constructor(name: Homeserver, nowMs: number, isCurrent: () => boolean, deps: HomeserverDeps) {
    this.name = name;
    this.#deps = deps;
    this.#isCurrent = isCurrent;
    this.lastCallMs = nowMs;
    const { changesPerSecond } = deps;
    this.#changeRate = changesPerSecond === undefined ? undefined : new ChangeRate(changesPerSecond, nowMs);
    this.metadata = new HomeserverMetadata(deps.holding);
    this.log = new InvalidationLog(NOWHERE, { bytesMax: 0, eventIdsMax: LOG_EVENT_IDS_MAX });
    this.hub = new SubscriberHub({
      log: this.log,
      counters: this.counters,
      defer: deps.defer,
      mayTell: isCurrent,
      onClose: () => {
        this.lastCallMs = deps.clock();
      },
    });
  }

  get holding(): EntryHolding {
    return this.#deps.holding;
  }

  /** Whether it has a subscriber. */
  get isHeld(): boolean {
    return this.hub.count > 0;
  }

  /** Counts a change against the quota. If it is used up, throws. */
  admitChange(nowMs: number): void {
    const refusal = this.#changeRate?.take(nowMs);
    if (refusal === undefined) return;
    this.noteRefusal("changes");
    throw refusal;
  }

  noteRefusal(refusal: Refusal): void {
    this.counters.refusals[refusal] += 1;
  }

  /** Drops everything and follows the log from `position` on. */
  restart(position: Position, reason: RestartReason): void {
    const isNewEpoch = position.epoch !== this.log.position.epoch;
    this.dropMetadata();
    this.log.restart(position);
    if (isNewEpoch) this.counters.epochs += 1;
    this.#deps.observer.logRestarted(this.name, position.epoch, reason);
    this.hub.wake();
  }

  /** Drops all entries and keeps the position in the log, the fence and the subscribers. */
  dropEntries(reason: RestartReason): void {
    this.dropMetadata();
    this.#deps.observer.logRestarted(this.name, this.log.position.epoch, reason);
  }

  /** Appends to the copy of the log and wakes the subscribers. */
  announce(change: Change): void {
    if (this.log.size.changes === 0) this.#deps.onLogStarts(this.log);
    this.log.append(change);
    this.counters.changes[change.kind] += 1;
    this.#deps.observer.changed?.(this.name, change.kind);
    this.hub.wake();
  }

  /** Drops all entries, in constant time. */
  dropMetadata(): void {
    this.#deps.discard(this.metadata);
    this.metadata = new HomeserverMetadata(this.holding);
  }

  stats(): HomeserverStats {
    const size = this.log.size;
    return {
      ...this.counters,
      position: this.#isCurrent() ? this.log.position : undefined,
      entries: this.metadata.entries.size,
      bytes: this.metadata.bytes,
      memoryBytes: this.holding.events.bytes + this.holding.metadata.bytes,
      memoryShareBytes: this.holding.shareBytes(),
      subscribers: this.hub.count,
      logChanges: size.changes,
      logEventIds: size.eventIds,
      logBytes: size.bytes,
      logBytesMax: size.bytesMax,
    };
  }
}

/** The position of a copy that is not loaded yet: an epoch that no log ever has. */
const NOWHERE: Position = { epoch: "" as Epoch, sequence: 0 };
