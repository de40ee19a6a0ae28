import { S3Fifo } from "../core/memory/s3-fifo.js";
import { shardCount } from "../core/memory/sharded-queue.js";
import { CacheError } from "../core/model/errors.js";
import { HOMESERVERS_MAX, METADATA_TTL_MS_DEFAULT, SUBSCRIBERS_MAX } from "../core/model/limits.js";
import { Quotas, type Refusal } from "../core/model/quotas.js";
import type {
  EventStore,
  PutRequest,
  PutResult,
  ReadRequest,
  SetRedactionRequest,
  SetRejectedRequest,
  SetResult,
  StoreStats,
  SubscribeRequest,
  TakeEvents,
} from "../core/model/store.js";
import type { StoreObserver } from "../core/model/store-observer.js";
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
import { isIdle } from "../core/rules/homeserver-table.js";
import { Homeservers } from "../core/rules/homeservers.js";
import { SplitCache } from "../core/rules/split-cache.js";
import type { Log } from "../log/port.js";
import type { Tier } from "../tier/port.js";
import { startBackgroundWork } from "./background-work.js";
import { splitBudget } from "./budget.js";
import { FairTurns } from "./fair-turns.js";
import { FollowedHomeserver } from "./followed-homeserver.js";
import { Reads, unverified, whenCurrent } from "./reads.js";
import { SharedTier } from "./shared-tier.js";

export interface EventStoreOptions {
  /** The invalidation logs. The store closes it. */
  readonly invalidationLog: Log;
  /** The shared tier, if there is one. The store closes it. */
  readonly tier?: Tier | undefined;
  /** The budget of bodies, metadata and logs together, including their overhead. */
  readonly memoryBytes: number;
  /** The part of the budget that may be in the JavaScript heap. */
  readonly heapBytesMax: number;
  readonly log: StoreObserver;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly metadataTtlMs?: number;
  /** The interval in which an entry in use is written to the tier again. */
  readonly writeBackIntervalMs?: number;
  readonly progressIntervalMs?: number;
  /** The limits of homeservers. */
  readonly quotas?: Quotas;
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
  readonly #reads: Reads;
  readonly #turns: FairTurns;
  readonly #homeservers: Homeservers<FollowedHomeserver>;
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
    const quotas = options.quotas ?? new Quotas();
    const shards = shardCount(Math.max(budget.caches.eventBytesMax, budget.caches.metadataBytesMax));
    this.#cache = new SplitCache({
      makeQueue: (charge) => new S3Fifo(shards, charge),
      ...budget.caches,
      promised: quotas.memoryMinTotal / options.memoryBytes,
      metadataTtlMs: this.#metadataTtlMs,
      defer,
      ...(this.#sharedTier && { writeBack: this.#sharedTier.writeBack }),
    });
    this.#turns = new FairTurns(clock, defer);
    this.#reads = new Reads({ cache: this.#cache, tier: this.#sharedTier, clock });
    const discard = this.#cache.sweep.discard.bind(this.#cache.sweep);
    this.#homeservers = new Homeservers({
      homeserversMax: options.homeserversMax ?? HOMESERVERS_MAX,
      logBytesMax: this.#logBytesMax,
      create: (name, nowMs, onLogStarts) => {
        const { memoryMin, memoryMax, changesPerSecond } = quotas.of(name);
        const partOf = (bytes: number | undefined) => bytes && bytes / options.memoryBytes;
        const holding = this.#cache.newHolding({ min: partOf(memoryMin), max: partOf(memoryMax) });
        const deps = { holding, discard, clock, defer, onLogStarts, changesPerSecond, log: options.log };
        return new FollowedHomeserver(name, nowMs, invalidationLog, this.#cache, deps);
      },
      onForget: (homeserver) => {
        homeserver.leave();
        this.#cache.setIdle(homeserver.state, true);
        options.log.homeserverForgotten(homeserver.name);
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
    return this.#turns.run(request.homeserver, () => this.#putNow(homeserver, { ...request, events }));
  }

  /** Checks that the copy is current and stores the events, in one synchronous step. */
  #putNow(homeserver: FollowedHomeserver, request: PutRequest): PutResult {
    const { events } = request;
    if (!homeserver.log.isCurrent()) {
      homeserver.state.counters.puts.unverified += events.length;
      return { outcomes: events.map(() => "unverified"), position: undefined };
    }
    const result = this.#cache.putEvents(homeserver.state, request, this.#clock());
    const stored = events.filter((_, at) => result.outcomes[at] === "stored");
    this.#sharedTier?.put(homeserver, stored, request.asOf, this.#metadataTtlMs);
    return result;
  }

  async setRedaction(request: SetRedactionRequest): Promise<SetResult> {
    const homeserver = await this.#enterForChange(request.homeserver);
    const change = this.#cache.changes.redactionChange(homeserver.state, request, this.#clock());
    return this.#set(homeserver, request.eventId, change, () =>
      this.#cache.changes.applyRedaction(homeserver.state, change, request, this.#clock()),
    );
  }

  async setRejected(request: SetRejectedRequest): Promise<SetResult> {
    const homeserver = await this.#enterForChange(request.homeserver);
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
    const homeserver = await this.#enterForChange(name);
    const change = this.#cache.changes.invalidationChange(homeserver.state, roomId, eventIds, this.#clock());
    const position = await this.#append(homeserver, change);
    this.#sharedTier?.drop(homeserver, eventIds);
    return position;
  }

  async purgeRoom(name: Homeserver, roomId: RoomId): Promise<Position> {
    return this.#append(await this.#enterForChange(name), { kind: "roomPurged", roomId });
  }

  async purgeHomeserver(name: Homeserver, newEpoch: boolean): Promise<Position> {
    const homeserver = await this.#enterForChange(name);
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

  noteRefusal(name: Homeserver, refusal: Refusal): void {
    const known = this.#homeservers.find(name);
    if (known !== undefined) known.state.counters.refusals[refusal] += 1;
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

  #enter(name: Homeserver): FollowedHomeserver {
    return this.#homeservers.enter(name, this.#clock());
  }

  /** A change may be made while the copy is not current: then the log decides whether it can be confirmed. */
  async #enterCurrent(name: Homeserver, position?: Position): Promise<FollowedHomeserver> {
    const homeserver = this.#enter(name);
    await whenCurrent(homeserver, position);
    return homeserver;
  }

  /** The same for a change, if the quota of the homeserver admits it: nothing of it is done before. */
  #enterForChange(name: Homeserver): Promise<FollowedHomeserver> {
    this.#enter(name).state.admitChange(this.#clock());
    return this.#enterCurrent(name);
  }

  #append(homeserver: FollowedHomeserver, change: Change): Promise<Position> {
    return homeserver.log.append(change, () => homeserver.apply(change));
  }

  async #set(
    homeserver: FollowedHomeserver,
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
    const nowMs = this.#clock();
    for (const homeserver of this.#homeservers.all()) {
      homeserver.state.hub.tick();
      this.#cache.setIdle(homeserver.state, isIdle(homeserver, nowMs));
    }
    this.#homeservers.forgetEmpty(this.#clock());
  }
}

const defer = (run: () => void): void => void setImmediate(run);

const SUBSCRIBE_RETRY_DELAY_MS = 5000;
