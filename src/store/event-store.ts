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
import type { EventStoreOptions } from "./event-store-options.js";
import { FairTurns } from "./fair-turns.js";
import { ServedHomeserver } from "./served-homeserver.js";
import { SharedTier } from "./shared-tier.js";
import { StoreReads, unverified, whenCurrent } from "./store-reads.js";
import { storeStats } from "./store-stats.js";

/** Creates the store: split caches in the memory of this process, with a log and an optional tier. */
export function createEventStore(options: EventStoreOptions): EventStore {
  return new CachedEventStore(options);
}

class CachedEventStore implements EventStore {
  readonly #cache: SplitCache;
  readonly #reads: StoreReads;
  readonly #turns: FairTurns;
  readonly #homeservers: Homeservers<ServedHomeserver>;
  readonly #invalidationLog: Log;
  readonly #tier: Tier | undefined;
  readonly #sharedTier: SharedTier | undefined;
  readonly #clock: () => number;
  readonly #metadataTtlMs: number;
  readonly #subscribersMax: number;
  readonly #bounds: Pick<StoreStats, "logBytesMax" | "heapBytesMax">;
  readonly #stopBackgroundWork: () => void;

  constructor(options: EventStoreOptions) {
    const { invalidationLog, tier, clock, observer } = options;
    const budget = splitBudget(options.memoryBytes, options.heapBytesMax);
    this.#invalidationLog = invalidationLog;
    this.#tier = tier;
    this.#sharedTier = tier && new SharedTier(tier, options, options.writeBackIntervalMs);
    this.#clock = clock;
    this.#metadataTtlMs = options.metadataTtlMs ?? METADATA_TTL_MS_DEFAULT;
    this.#subscribersMax = options.subscribersMax ?? SUBSCRIBERS_MAX;
    this.#bounds = { logBytesMax: budget.logBytesMax, heapBytesMax: options.heapBytesMax };
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
    this.#reads = new StoreReads({ cache: this.#cache, tier: this.#sharedTier, clock });
    const discard = this.#cache.sweep.discard.bind(this.#cache.sweep);
    this.#homeservers = new Homeservers({
      homeserversMax: options.homeserversMax ?? HOMESERVERS_MAX,
      logBytesMax: budget.logBytesMax,
      create: (name, nowMs, onLogStarts) => {
        const { changesPerSecond } = quotas.of(name);
        const holding = this.#cache.newHolding(quotas.memoryOf(name, options.memoryBytes));
        const deps = { holding, discard, clock, defer, onLogStarts, changesPerSecond, observer };
        return new ServedHomeserver(name, nowMs, invalidationLog, this.#cache, deps);
      },
      onForget: (homeserver) => {
        homeserver.leave();
        this.#cache.setIdle(homeserver.state, true);
        observer.homeserverForgotten(homeserver.name);
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
    const inTurn = (step: () => void) => this.#turns.run(request.homeserver, step);
    const events = await withRedactedBodies(request.events, { clock: this.#clock, inTurn });
    const homeserver = await this.#enterCurrent(request.homeserver, request.asOf);
    return this.#turns.run(request.homeserver, () => this.#putNow(homeserver, { ...request, events }));
  }

  /** Checks that the copy is current and stores the events, in one synchronous step. */
  #putNow(homeserver: ServedHomeserver, request: PutRequest): PutResult {
    const { events } = request;
    // While it waited for its turn, the homeserver may have been forgotten.
    const isServed = this.#homeservers.find(request.homeserver) === homeserver;
    if (!isServed || !homeserver.log.isCurrent()) {
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
    this.#homeservers.find(name)?.state.noteRefusal(refusal);
  }

  stats(): StoreStats {
    return storeStats(this.#cache, this.#homeservers, this.#bounds);
  }

  async close(): Promise<void> {
    this.#stopBackgroundWork();
    await Promise.all([this.#invalidationLog.close(), this.#tier?.close()]);
  }

  #enter(name: Homeserver): ServedHomeserver {
    const homeserver = this.#homeservers.enter(name, this.#clock());
    this.#cache.setIdle(homeserver.state, false);
    return homeserver;
  }

  /** A change may be made while the copy is not current: then the log decides whether it can be confirmed. */
  async #enterCurrent(name: Homeserver, position?: Position): Promise<ServedHomeserver> {
    const homeserver = this.#enter(name);
    await whenCurrent(homeserver, position);
    return homeserver;
  }

  /** The same for a change, if the quota of the homeserver admits it: nothing of it is done before. */
  #enterForChange(name: Homeserver): Promise<ServedHomeserver> {
    this.#enter(name).state.admitChange(this.#clock());
    return this.#enterCurrent(name);
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
    const nowMs = this.#clock();
    for (const { state } of this.#homeservers.all()) {
      state.hub.tick();
      this.#cache.setIdle(state, isIdle(state, nowMs));
    }
    this.#homeservers.forgetEmpty(nowMs);
  }
}

const defer = (run: () => void): void => void setImmediate(run);

const SUBSCRIBE_RETRY_DELAY_MS = 5000;
