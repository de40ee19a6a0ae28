import { ShardedLru } from "../core/memory/sharded-lru.js";
import { CacheError } from "../core/model/errors.js";
import { HOMESERVERS_MAX, METADATA_TTL_MS_DEFAULT, SUBSCRIBERS_MAX } from "../core/model/limits.js";
import type {
  EventStore,
  PutRequest,
  PutResult,
  ReadRequest,
  SetRedactionRequest,
  SetRejectedRequest,
  SetResult,
  StoreObserver,
  StoreStats,
  SubscribeRequest,
  TakeEvents,
} from "../core/model/store.js";
import type {
  Change,
  EventId,
  Homeserver,
  Position,
  RoomId,
  SetOutcome,
  SubscriptionFrame,
} from "../core/model/types.js";
import { withRedactedBodies } from "../core/redaction/with-redacted-bodies.js";
import { Homeservers } from "../core/rules/homeservers.js";
import { SplitCache } from "../core/rules/split-cache.js";
import type { Log } from "../log/port.js";
import type { Tier } from "../tier/port.js";
import { startBackgroundWork } from "./background-work.js";
import { splitBudget } from "./budget.js";
import { ServedHomeserver } from "./served-homeserver.js";
import { SharedTier } from "./shared-tier.js";
import { StoreReads, unverified, whenCurrent } from "./store-reads.js";

export interface EventStoreOptions {
  /** The invalidation logs. The store closes it. */
  readonly invalidationLog: Log;
  /** The shared tier, if there is one. The store closes it. */
  readonly tier?: Tier | undefined;
  /** The budget of bodies, metadata and logs together, including their overhead. */
  readonly memoryBytes: number;
  /** The part of the budget that may be in the JavaScript heap. */
  readonly heapBytesMax: number;
  readonly observer: StoreObserver;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly metadataTtlMs?: number;
  /** The interval in which an entry in use is written to the tier again. */
  readonly writeBackIntervalMs?: number;
  readonly progressIntervalMs?: number;
  readonly homeserversMax?: number;
  readonly subscribersMax?: number;
  readonly sweepIntervalMs?: number;
}

/** Creates the store: split caches in the memory of this process, with a log and an optional tier. */
export function createEventStore(options: EventStoreOptions): EventStore {
  return new CachedEventStore(options);
}

class CachedEventStore implements EventStore {
  readonly #cache: SplitCache;
  readonly #reads: StoreReads;
  readonly #homeservers: Homeservers<ServedHomeserver>;
  readonly #invalidationLog: Log;
  readonly #tier: Tier | undefined;
  readonly #sharedTier: SharedTier | undefined;
  readonly #clock: () => number;
  readonly #metadataTtlMs: number;
  readonly #subscribersMax: number;
  readonly #logBytesMax: number;
  readonly #heapBytesMax: number;
  readonly #stopBackgroundWork: () => void;

  constructor(options: EventStoreOptions) {
    const { invalidationLog, tier, clock } = options;
    const budget = splitBudget(options.memoryBytes, options.heapBytesMax);
    this.#invalidationLog = invalidationLog;
    this.#tier = tier;
    this.#sharedTier = tier && new SharedTier(tier, options, options.writeBackIntervalMs);
    this.#clock = clock;
    this.#metadataTtlMs = options.metadataTtlMs ?? METADATA_TTL_MS_DEFAULT;
    this.#subscribersMax = options.subscribersMax ?? SUBSCRIBERS_MAX;
    this.#heapBytesMax = options.heapBytesMax;
    this.#logBytesMax = budget.logBytesMax;
    this.#cache = new SplitCache({
      makeCache: (bounds, onEvict) => new ShardedLru(bounds, onEvict),
      ...budget.caches,
      metadataTtlMs: this.#metadataTtlMs,
      defer,
      ...(this.#sharedTier && { writeBack: this.#sharedTier.writeBack }),
    });
    this.#reads = new StoreReads({ cache: this.#cache, tier: this.#sharedTier, clock });
    const discard = this.#cache.sweep.discard.bind(this.#cache.sweep);
    this.#homeservers = new Homeservers({
      homeserversMax: options.homeserversMax ?? HOMESERVERS_MAX,
      logBytesMax: this.#logBytesMax,
      create: (name, nowMs, onLogStarts) => {
        const deps = { clock, defer, discard, onLogStarts, observer: options.observer };
        return new ServedHomeserver(name, nowMs, invalidationLog, this.#cache, deps);
      },
      onForget: (homeserver) => {
        homeserver.leave();
        options.observer.homeserverForgotten(homeserver.name);
      },
    });
    this.#stopBackgroundWork = startBackgroundWork({
      ...options,
      sweep: this.#cache.sweep,
      live: () => [...this.#homeservers.all()].map(({ state }) => state.metadata),
      onTick: () => this.#tick(),
    });
  }

  getEvents(request: ReadRequest, take: TakeEvents): Promise<void> | undefined {
    return this.#reads.getEvents(this.#enter(request.homeserver), request, take);
  }

  async putEvents(request: PutRequest): Promise<PutResult> {
    const events = await withRedactedBodies(request.events, { clock: this.#clock, defer });
    const homeserver = await this.#enterCurrent(request.homeserver, request.asOf);
    if (!homeserver.log.isCurrent()) {
      homeserver.state.counters.puts.unverified += events.length;
      return { outcomes: events.map(() => "unverified"), position: undefined };
    }
    const result = this.#cache.putEvents(homeserver.state, { ...request, events }, this.#clock());
    const stored = events.filter((_, at) => result.outcomes[at] === "stored");
    this.#sharedTier?.put(homeserver, stored, request.asOf, this.#metadataTtlMs);
    return result;
  }

  async setRedaction(request: SetRedactionRequest): Promise<SetResult> {
    const homeserver = await this.#enterCurrent(request.homeserver);
    const change = this.#cache.changes.redactionChange(homeserver.state, request, this.#clock());
    return this.#set(homeserver, request.eventId, change, () =>
      this.#cache.changes.applyRedaction(homeserver.state, change, request, this.#clock()),
    );
  }

  async setRejected(request: SetRejectedRequest): Promise<SetResult> {
    const homeserver = await this.#enterCurrent(request.homeserver);
    const change = this.#cache.changes.rejectionChange(homeserver.state, request, this.#clock());
    return this.#set(homeserver, request.eventId, change, () =>
      this.#cache.changes.applyRejection(homeserver.state, change, request, this.#clock()),
    );
  }

  async invalidateEvents(
    name: Homeserver,
    roomId: RoomId | undefined,
    eventIds: readonly EventId[],
  ): Promise<Position> {
    const homeserver = await this.#enterCurrent(name);
    const change = this.#cache.changes.invalidationChange(homeserver.state, roomId, eventIds, this.#clock());
    const position = await this.#append(homeserver, change);
    this.#sharedTier?.drop(homeserver, eventIds);
    return position;
  }

  async purgeRoom(name: Homeserver, roomId: RoomId): Promise<Position> {
    return this.#append(await this.#enterCurrent(name), { kind: "roomPurged", roomId });
  }

  async purgeHomeserver(name: Homeserver, newEpoch: boolean): Promise<Position> {
    const homeserver = await this.#enterCurrent(name);
    if (newEpoch) return homeserver.log.startEpoch();
    return this.#append(homeserver, { kind: "homeserverPurged" });
  }

  async *subscribe(request: SubscribeRequest): AsyncGenerator<SubscriptionFrame, void> {
    const { resumeAfter, signal } = request;
    const homeserver = await this.#enterCurrent(request.homeserver, resumeAfter);
    if (!homeserver.log.isCurrent()) throw unverified();
    let subscribers = 0;
    for (const { state } of this.#homeservers.all()) subscribers += state.hub.count;
    if (subscribers >= this.#subscribersMax) {
      const message = `the cache has ${this.#subscribersMax} subscribers already`;
      throw new CacheError("exhausted", message, { retryDelayMs: SUBSCRIBE_RETRY_DELAY_MS });
    }
    yield* homeserver.state.hub.open(resumeAfter, signal);
  }

  stats(): StoreStats {
    const { events, metadata } = this.#cache.stats();
    let logBytes = 0;
    for (const { state } of this.#homeservers.all()) logBytes += state.log.size.bytes;
    return {
      events,
      metadata,
      logBytes,
      logBytesMax: this.#logBytesMax,
      heapBytes: events.heapBytes + metadata.heapBytes + logBytes,
      heapBytesMax: this.#heapBytesMax,
      swept: this.#cache.sweep.swept,
      homeservers: this.#homeservers.stats(),
    };
  }

  async close(): Promise<void> {
    this.#stopBackgroundWork();
    await Promise.all([this.#invalidationLog.close(), this.#tier?.close()]);
  }

  #enter(name: Homeserver): ServedHomeserver {
    return this.#homeservers.enter(name, this.#clock());
  }

  /** A change may be made while the copy is not current: then the log decides whether it can be confirmed. */
  async #enterCurrent(name: Homeserver, position?: Position): Promise<ServedHomeserver> {
    const homeserver = this.#enter(name);
    await whenCurrent(homeserver, position);
    return homeserver;
  }

  #append(homeserver: ServedHomeserver, change: Change): Promise<Position> {
    return homeserver.log.append(change, () => homeserver.apply(change));
  }

  async #set(
    homeserver: ServedHomeserver,
    eventId: EventId,
    change: Change,
    apply: () => SetOutcome,
  ): Promise<SetResult> {
    // If the copy drops all its entries before it applies the change, the entry is absent.
    let outcome = "absent" as SetOutcome;
    const position = await homeserver.log.append(change, () => {
      outcome = apply();
    });
    if (outcome !== "applied") this.#sharedTier?.drop(homeserver, [eventId]);
    return { outcome, position };
  }

  #tick(): void {
    for (const { state } of this.#homeservers.all()) state.hub.tick();
    this.#homeservers.forgetEmpty(this.#clock());
  }
}

const defer = (run: () => void): void => void setImmediate(run);

const SUBSCRIBE_RETRY_DELAY_MS = 5000;
