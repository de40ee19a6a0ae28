import { CacheError } from "../core/errors.js";
import { SLAB_RESERVE_BYTES } from "../core/frame-slab.js";
import type { HomeserverState } from "../core/homeserver-state.js";
import { Homeservers } from "../core/homeservers.js";
import {
  CACHE_ENTRIES_MAX,
  EPOCH_BYTES,
  EVENTS_HEAP_SHARE_SIXTEENTHS,
  EVENTS_SHARE_EIGHTHS,
  HOMESERVERS_MAX,
  LEASE_DURATION_MS_DEFAULT,
  LOG_HEAP_SHARE_SIXTEENTHS,
  LOG_SHARE_EIGHTHS,
  METADATA_HEAP_SHARE_SIXTEENTHS,
  METADATA_SHARE_EIGHTHS,
  METADATA_TTL_MS_DEFAULT,
  PROGRESS_INTERVAL_MS,
  SUBSCRIBERS_MAX,
  SWEEP_INTERVAL_MS,
  SWEEP_PAUSE_MS,
  SWEEP_SLICE_MS,
} from "../core/limits.js";
import { redactAhead } from "../core/redact-ahead.js";
import { SplitCache } from "../core/split-cache.js";
import type { EventStore, StoreStats, SubscribeRequest } from "../core/store.js";
import type { StoreLog } from "../core/store-log.js";
import type { Epoch, Homeserver, LeaseToken, SubscriptionFrame } from "../core/types.js";
import { ShardedLru } from "./sharded-lru.js";

export interface MemoryStoreOptions {
  /** The budget of bodies, metadata and logs together, all that they cost included. */
  readonly memoryBytes: number;
  /** How much of the budget may lie in the JavaScript heap. */
  readonly heapBytesMax: number;
  readonly log: StoreLog;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Unpredictable bytes, for epochs and lease tokens. */
  readonly randomBytes: (size: number) => Buffer;
  readonly leaseDurationMs?: number;
  readonly metadataTtlMs?: number;
  readonly progressIntervalMs?: number;
  readonly homeserversMax?: number;
  readonly subscribersMax?: number;
  readonly sweepIntervalMs?: number;
}

/** Makes the default store: everything in the memory of this process, gone with it. */
export function createMemoryStore(options: MemoryStoreOptions): EventStore {
  return new MemoryStore(options);
}

class MemoryStore implements EventStore {
  readonly isRemote = false;
  readonly #cache: SplitCache;
  readonly #homeservers: Homeservers;
  readonly #clock: () => number;
  readonly #leaseDurationMs: number;
  readonly #subscribersMax: number;
  readonly #logBytesMax: number;
  readonly #heapBytesMax: number;
  readonly #timers: NodeJS.Timeout[];
  #sliceTimer: NodeJS.Timeout | undefined;

  constructor(options: MemoryStoreOptions) {
    const share = (eighths: number): number => Math.floor((options.memoryBytes * eighths) / 8);
    const heapShare = (sixteenths: number): number => Math.floor((options.heapBytesMax * sixteenths) / 16);
    this.#clock = options.clock;
    this.#leaseDurationMs = options.leaseDurationMs ?? LEASE_DURATION_MS_DEFAULT;
    this.#subscribersMax = options.subscribersMax ?? SUBSCRIBERS_MAX;
    this.#heapBytesMax = options.heapBytesMax;
    // All of a log lies in the heap.
    this.#logBytesMax = Math.min(share(LOG_SHARE_EIGHTHS), heapShare(LOG_HEAP_SHARE_SIXTEENTHS));
    this.#cache = new SplitCache({
      makeCache: (bounds, onEvict) => new ShardedLru(bounds, onEvict),
      eventBytesMax: withoutReserve(share(EVENTS_SHARE_EIGHTHS)),
      metadataBytesMax: share(METADATA_SHARE_EIGHTHS),
      eventHeapBytesMax: heapShare(EVENTS_HEAP_SHARE_SIXTEENTHS),
      metadataHeapBytesMax: heapShare(METADATA_HEAP_SHARE_SIXTEENTHS),
      entriesMax: CACHE_ENTRIES_MAX,
      metadataTtlMs: options.metadataTtlMs ?? METADATA_TTL_MS_DEFAULT,
      defer,
    });
    this.#homeservers = new Homeservers({
      homeserversMax: options.homeserversMax ?? HOMESERVERS_MAX,
      logBytesMax: this.#logBytesMax,
      deps: {
        clock: options.clock,
        newEpoch: () => options.randomBytes(EPOCH_BYTES).toString("hex") as Epoch,
        newLeaseToken: () => options.randomBytes(LEASE_TOKEN_BYTES).toString("hex") as LeaseToken,
        leaseDurationMs: this.#leaseDurationMs,
        defer,
        discard: (metadata) => this.#cache.sweep.discard(metadata),
        log: options.log,
      },
    });
    this.#timers = [
      setInterval(() => this.#tick(), options.progressIntervalMs ?? PROGRESS_INTERVAL_MS),
      setInterval(() => this.#sweep(), options.sweepIntervalMs ?? SWEEP_INTERVAL_MS),
    ];
    // Background work alone keeps no process alive.
    for (const timer of this.#timers) timer.unref();
  }

  async getEvents(request: Parameters<EventStore["getEvents"]>[0]) {
    const now = this.#clock();
    return this.#cache.getEvents(this.#homeservers.enter(request.homeserver, now), request, now);
  }

  async putEvents(request: Parameters<EventStore["putEvents"]>[0]) {
    const events = await redactAhead(request.events, { clock: this.#clock, defer });
    const now = this.#clock();
    return this.#cache.putEvents(
      this.#homeservers.enter(request.homeserver, now),
      { ...request, events },
      now,
    );
  }

  async setRedaction(request: Parameters<EventStore["setRedaction"]>[0]) {
    const now = this.#clock();
    return this.#cache.setRedaction(this.#homeservers.enter(request.homeserver, now), request, now);
  }

  async setRejected(request: Parameters<EventStore["setRejected"]>[0]) {
    const now = this.#clock();
    return this.#cache.setRejected(this.#homeservers.enter(request.homeserver, now), request, now);
  }

  async invalidateEvents(...[name, roomId, eventIds]: Parameters<EventStore["invalidateEvents"]>) {
    return this.#cache.invalidateEvents(this.#enter(name), roomId, eventIds);
  }

  async purgeRoom(...[name, roomId]: Parameters<EventStore["purgeRoom"]>) {
    return this.#cache.purgeRoom(this.#enter(name), roomId);
  }

  async purgeHomeserver(name: Homeserver) {
    return this.#cache.purgeHomeserver(this.#enter(name));
  }

  async declareWriters(...[name, writers]: Parameters<EventStore["declareWriters"]>) {
    const homeserver = this.#enter(name);
    homeserver.changeLeases((leases) => leases.declare(writers));
    return this.#leaseStatus(homeserver);
  }

  async renewWriterLease(...[name, writer, token]: Parameters<EventStore["renewWriterLease"]>) {
    const now = this.#clock();
    const homeserver = this.#homeservers.enter(name, now);
    homeserver.changeLeases((leases) => leases.declare([writer]));
    // A new process under the name of a live one: suspended first, so that both epochs end.
    if (!homeserver.leases.continues(writer, token)) homeserver.changeLeases((leases) => leases.end(writer));
    const next = homeserver.changeLeases((leases) => leases.renew(writer, token, now));
    return { ...this.#leaseStatus(homeserver), token: next };
  }

  async releaseWriterLease(...[name, writer, token]: Parameters<EventStore["releaseWriterLease"]>) {
    const homeserver = this.#enter(name);
    homeserver.changeLeases((leases) => leases.release(writer, token));
    return homeserver.log.position;
  }

  async *subscribe({
    homeserver,
    resumeAfter,
    signal,
  }: SubscribeRequest): AsyncGenerator<SubscriptionFrame, void> {
    const state = this.#enter(homeserver);
    let subscribers = 0;
    for (const { hub } of this.#homeservers.all()) subscribers += hub.count;
    if (subscribers >= this.#subscribersMax) {
      const message = `the cache has ${this.#subscribersMax} subscribers already`;
      throw new CacheError("exhausted", message, { retryDelayMs: SUBSCRIBE_RETRY_DELAY_MS });
    }
    yield* state.hub.open(resumeAfter, signal);
  }

  stats(): StoreStats {
    const { events, metadata } = this.#cache.stats();
    let logBytes = 0;
    for (const { log } of this.#homeservers.all()) logBytes += log.size.bytes;
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
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#sliceTimer !== undefined) clearTimeout(this.#sliceTimer);
  }

  #enter(name: Homeserver): HomeserverState {
    return this.#homeservers.enter(name, this.#clock());
  }

  #leaseStatus(homeserver: HomeserverState) {
    return {
      position: homeserver.log.position,
      leaseDurationMs: this.#leaseDurationMs,
      suspended: homeserver.suspended,
    };
  }

  /** Tells subscribers of a lapse that no call has noticed yet; calls judge the leases themselves. */
  #tick(): void {
    const now = this.#clock();
    for (const homeserver of this.#homeservers.all()) {
      homeserver.settle(now);
      homeserver.hub.tick();
    }
    this.#homeservers.forgetEmpty(now);
  }

  #sweep(): void {
    const live = () => [...this.#homeservers.all()].map((homeserver) => homeserver.metadata);
    this.#cache.sweep.begin(live, this.#clock());
    // A pass that is still under way has its next slice due already.
    if (this.#sliceTimer === undefined) this.#slice();
  }

  #slice(): void {
    const endMs = this.#clock() + SWEEP_SLICE_MS;
    const workIsLeft = this.#cache.sweep.slice(() => this.#clock() >= endMs);
    this.#sliceTimer = workIsLeft ? setTimeout(() => this.#slice(), SWEEP_PAUSE_MS) : undefined;
  }
}

const defer = (run: () => void): void => void setImmediate(run);

/** What is left for events; a budget too small for the slab's pages, as in tests, keeps half. */
function withoutReserve(bytes: number): number {
  return Math.max(bytes - SLAB_RESERVE_BYTES, Math.floor(bytes / 2));
}

const LEASE_TOKEN_BYTES = 16;
const SUBSCRIBE_RETRY_DELAY_MS = 5000;
