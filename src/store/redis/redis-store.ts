import { randomBytes } from "node:crypto";
import { CacheError } from "../../core/errors.js";
import { frameBody, frameRoomVersion } from "../../core/event-frame.js";
import { HomeserverTable } from "../../core/homeserver-table.js";
import {
  CACHE_ENTRIES_MAX,
  HOMESERVERS_MAX,
  LEASE_DURATION_MS_DEFAULT,
  LOG_HEAP_SHARE_SIXTEENTHS,
  LOG_SHARE_EIGHTHS,
  METADATA_TTL_MS_DEFAULT,
  PROGRESS_INTERVAL_MS,
  SUBSCRIBERS_MAX,
  SWEEP_INTERVAL_MS,
  SWEEP_PAUSE_MS,
  SWEEP_SLICE_MS,
  WRITERS_MAX,
} from "../../core/limits.js";
import { isBehind } from "../../core/position.js";
import { redactAhead } from "../../core/redact-ahead.js";
import { redactEvent } from "../../core/redaction.js";
import type {
  ChangeKind,
  EventStore,
  LeaseStatus,
  MissReason,
  ReadRequest,
  SetResult,
  StoreStats,
  SubscribeRequest,
} from "../../core/store.js";
import type { StoreLog } from "../../core/store-log.js";
import type {
  EventId,
  Homeserver,
  Position,
  PutOutcome,
  ReadResult,
  SetOutcome,
  SubscriptionFrame,
} from "../../core/types.js";
import { ShardedLru } from "../sharded-lru.js";
import { BodyCache, type Digest } from "./body-cache.js";
import { BodyStore, type LoadedBodies } from "./body-store.js";
import type { CountedLog } from "./counted-log.js";
import { type BodyReference, EntryReader, encodeReference, ROOM_TOKEN_BYTES } from "./entry.js";
import { HomeserverCalls, unavailable } from "./homeserver-calls.js";
import { HomeserverKeys, startKey } from "./keys.js";
import type { RedisLink, ScriptArgument } from "./link.js";
import { LogFollower, type LogPage } from "./log-follower.js";
import { Lookups } from "./lookups.js";
import { prepare, referenceTo } from "./prepared-event.js";
import { Proofs } from "./proofs.js";
import { readResult, referencesOf } from "./read-result.js";
import { PROOF_LIFETIME_MS, SPARE_TTL_MS } from "./redis-limits.js";
import { RemoteHomeserver } from "./remote-homeserver.js";
import type { RemoteState } from "./reply.js";
import { makeScripts, type Script, type Scripts, SERVER_CLOCK } from "./scripts.js";

export interface RedisStoreOptions {
  readonly link: RedisLink;
  /** What all keys begin with: stores with the same prefix are one. */
  readonly keyPrefix: string;
  /** Replicas that a primary must have to be believed, whatever it was seen to have. */
  readonly replicasMin?: number;
  /** The budget of bodies and logs that are held here. */
  readonly memoryBytes: number;
  readonly heapBytesMax: number;
  readonly log: StoreLog;
  /** The link's, too. */
  readonly redisLog: CountedLog;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  readonly leaseDurationMs?: number;
  readonly metadataTtlMs?: number;
  readonly progressIntervalMs?: number;
  /** How long a proof that a server is the primary holds. */
  readonly proofLifetimeMs?: number;
  readonly homeserversMax?: number;
  readonly subscribersMax?: number;
  readonly sweepIntervalMs?: number;
  /** Lua that yields the server's clock as TIME does; another one in tests. */
  readonly serverClock?: string;
}

/**
 * Makes the store of many sidecars: metadata, log and leases in Redis, bodies there
 * and, since they never change, here. Takes over the link.
 */
export function createRedisStore(options: RedisStoreOptions): EventStore {
  return new RedisStore(options);
}

class RedisStore implements EventStore {
  readonly isRemote = true;
  readonly #options: RedisStoreOptions;
  readonly #scripts: Scripts;
  readonly #proofs: Proofs;
  readonly #calls: HomeserverCalls;
  readonly #bodyCache: BodyCache;
  readonly #bodies: BodyStore;
  readonly #homeservers: HomeserverTable<RemoteHomeserver>;
  readonly #leaseDurationMs: number;
  readonly #metadataTtlMs: number;
  readonly #proofLifetimeMs: number;
  readonly #logBytesMax: number;
  readonly #timers: NodeJS.Timeout[];
  #sliceTimer: NodeJS.Timeout | undefined;
  /** As the operator was last told; nobody need be told that it is well from the start. */
  #wasWell = true;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    const { link, clock, keyPrefix, memoryBytes, heapBytesMax, redisLog } = options;
    this.#leaseDurationMs = options.leaseDurationMs ?? LEASE_DURATION_MS_DEFAULT;
    this.#metadataTtlMs = options.metadataTtlMs ?? METADATA_TTL_MS_DEFAULT;
    this.#proofLifetimeMs = options.proofLifetimeMs ?? PROOF_LIFETIME_MS;
    this.#scripts = makeScripts(options.serverClock ?? SERVER_CLOCK);
    this.#proofs = new Proofs({
      link,
      script: this.#scripts.proof,
      replicasMin: options.replicasMin ?? 0,
      leaseDurationMs: this.#leaseDurationMs,
      lifetimeMs: this.#proofLifetimeMs,
      clock,
      onTrouble: (error) => this.#calls.note(error),
    });
    this.#calls = new HomeserverCalls({
      link,
      proofs: this.#proofs,
      log: redisLog,
      leaseDurationMs: this.#leaseDurationMs,
    });
    const logBytes = Math.floor((memoryBytes * LOG_SHARE_EIGHTHS) / 8);
    const logHeapBytes = Math.floor((heapBytesMax * LOG_HEAP_SHARE_SIXTEENTHS) / 16);
    this.#logBytesMax = Math.min(logBytes, logHeapBytes);
    this.#bodyCache = new BodyCache({
      bounds: {
        bytesMax: memoryBytes - logBytes,
        heapBytesMax: heapBytesMax - logHeapBytes,
        entriesMax: CACHE_ENTRIES_MAX,
      },
      makeCache: (bounds, onEvict) => new ShardedLru(bounds, onEvict),
      defer,
      ttlMs: this.#metadataTtlMs,
    });
    const ttlMs = this.#metadataTtlMs + SPARE_TTL_MS;
    this.#bodies = new BodyStore({ cache: this.#bodyCache, link, keyPrefix, ttlMs, clock });
    this.#homeservers = new HomeserverTable({
      homeserversMax: options.homeserversMax ?? HOMESERVERS_MAX,
      create: (name, nowMs) => this.#newHomeserver(name, nowMs),
      onForget: ({ name }) => options.log.homeserverForgotten(name),
    });
    this.#timers = [
      setInterval(() => this.#proofs.tick(), this.#proofLifetimeMs / 2),
      setInterval(() => this.#tick(), options.progressIntervalMs ?? PROGRESS_INTERVAL_MS),
      setInterval(() => this.#sweep(), options.sweepIntervalMs ?? SWEEP_INTERVAL_MS),
    ];
    // Background work alone keeps no process alive.
    for (const timer of this.#timers) timer.unref();
    // Whoever watches a roll-out must not have to wait for the first call to learn that Redis cannot be used.
    this.#proofs.start(startKey(keyPrefix));
    this.#proofs.tick();
  }

  async getEvents(request: ReadRequest): Promise<ReadResult> {
    const homeserver = this.#enter(request.homeserver);
    const found = await homeserver.lookups.find(request.eventIds).catch(() => undefined);
    if (found === undefined) return this.#allMissing(homeserver, request, "doubt", homeserver.position);
    const { state, entries } = found;
    const { position } = state;
    if (state.suspended) return this.#allMissing(homeserver, request, "suspended", position);
    if (isBehind(position, request.minPosition))
      return this.#allMissing(homeserver, request, "behind", position);
    const references = referencesOf(entries);
    const bodies = this.#bodies.held(references) ?? (await this.#loadBodies(references));
    if (bodies === undefined) return this.#allMissing(homeserver, request, "doubt", position);
    // From here on nothing may be awaited: the bytes are to be read in this turn.
    return readResult(homeserver, request, { position, entries, bodies });
  }

  async putEvents({ homeserver: name, events: given, asOf }: Parameters<EventStore["putEvents"]>[0]) {
    const homeserver = this.#enter(name);
    const events = await redactAhead(given, { clock: this.#options.clock, defer });
    // Of an ID given twice the last event counts.
    const unique = [...new Map(events.map((event) => [event.eventId, event])).values()];
    const prepared = unique.map(prepare);
    const args: ScriptArgument[] = [
      String(this.#metadataTtlMs),
      String(this.#metadataTtlMs + SPARE_TTL_MS),
      asOf.epoch,
      String(asOf.sequence),
    ];
    for (const { event, entry } of prepared)
      args.push(event.eventId, event.roomId, randomBytes(ROOM_TOKEN_BYTES), entry);
    const keys = unique.flatMap(({ eventId, roomId }) => [
      homeserver.keys.event(eventId),
      homeserver.keys.room(roomId),
    ]);
    const [{ state, result }] = await Promise.all([
      this.#calls.run(homeserver, this.#scripts.putEvents, keys, args),
      this.#saveBodies(new Map(prepared.flatMap(({ bodies }) => bodies))),
    ]);
    const outcomes = (result as readonly Buffer[]).map((outcome) => outcome.toString("latin1") as PutOutcome);
    for (const [at, { bodies }] of prepared.entries())
      if (outcomes[at] === "stored") this.#bodies.keep(bodies);
    const byId = new Map(unique.map(({ eventId }, at) => [eventId, outcomes[at]!]));
    const inOrder = events.map(({ eventId }) => byId.get(eventId)!);
    for (const outcome of inOrder) homeserver.counters.puts[outcome] += 1;
    return { outcomes: inOrder, position: state.position };
  }

  async setRedaction(request: Parameters<EventStore["setRedaction"]>[0]): Promise<SetResult> {
    const { eventId, redaction } = request;
    const homeserver = this.#enter(request.homeserver);
    const redacted = request.asOf && (await this.#redactedBody(homeserver, eventId, redaction.redactedBody));
    // The change counts, whatever becomes of the entry: without a redacted body that is kept it is dropped.
    const asOf = redacted && (await this.#isSaved(redacted.bodies)) ? request.asOf : undefined;
    return this.#set(homeserver, { ...request, asOf }, "redacted", [
      redaction.redactedBy,
      redacted?.reference === undefined ? "" : encodeReference(redacted.reference),
      redacted?.madeFrom === undefined ? "" : encodeReference(redacted.madeFrom),
    ]);
  }

  async setRejected(request: Parameters<EventStore["setRejected"]>[0]): Promise<SetResult> {
    const homeserver = this.#enter(request.homeserver);
    return this.#set(homeserver, request, "rejected", [request.rejected ? "1" : "0", request.rejectedReason]);
  }

  async invalidateEvents(
    ...[name, roomId, eventIds]: Parameters<EventStore["invalidateEvents"]>
  ): Promise<Position> {
    const homeserver = this.#enter(name);
    const unique = [...new Set(eventIds)];
    const keys = unique.map((eventId) => homeserver.keys.event(eventId));
    return this.#announce(homeserver, "invalidated", this.#scripts.invalidateEvents, keys, [
      roomId ?? "",
      ...unique,
    ]);
  }

  async purgeRoom(...[name, roomId]: Parameters<EventStore["purgeRoom"]>): Promise<Position> {
    const homeserver = this.#enter(name);
    return this.#announce(
      homeserver,
      "roomPurged",
      this.#scripts.purgeRoom,
      [homeserver.keys.room(roomId)],
      [roomId],
    );
  }

  async purgeHomeserver(name: Homeserver): Promise<Position> {
    return this.#announce(this.#enter(name), "homeserverPurged", this.#scripts.purgeHomeserver, [], []);
  }

  async declareWriters(...[name, writers]: Parameters<EventStore["declareWriters"]>): Promise<LeaseStatus> {
    const { state, result } = await this.#calls.run(
      this.#enter(name),
      this.#scripts.declareWriters,
      [],
      writers,
    );
    refuseTooMany(result);
    return this.#leaseStatus(state);
  }

  async renewWriterLease(...[name, writer, held]: Parameters<EventStore["renewWriterLease"]>) {
    const homeserver = this.#enter(name);
    const token = randomBytes(LEASE_TOKEN_BYTES).toString("hex") as typeof held;
    const { renewLease } = this.#scripts;
    const { state, result } = await this.#calls.run(homeserver, renewLease, [], [writer, held, token]);
    refuseTooMany(result);
    if (String(result) === "replaced") homeserver.reportReplaced(writer);
    return { ...this.#leaseStatus(state), token };
  }

  async releaseWriterLease(...[name, writer, token]: Parameters<EventStore["releaseWriterLease"]>) {
    const { state } = await this.#calls.run(
      this.#enter(name),
      this.#scripts.releaseLease,
      [],
      [writer, token],
    );
    return state.position;
  }

  async *subscribe({
    homeserver: name,
    resumeAfter,
    signal,
  }: SubscribeRequest): AsyncGenerator<SubscriptionFrame, void> {
    const homeserver = this.#enter(name);
    const subscribersMax = this.#options.subscribersMax ?? SUBSCRIBERS_MAX;
    let subscribers = 0;
    for (const { follower } of this.#homeservers.all()) subscribers += follower.count;
    if (subscribers >= subscribersMax) {
      const message = `the cache has ${subscribersMax} subscribers already`;
      throw new CacheError("exhausted", message, { retryDelayMs: SUBSCRIBE_RETRY_DELAY_MS });
    }
    const opening = homeserver.follower.subscribe(resumeAfter, signal);
    this.#shareLogs();
    const frames = await opening;
    if (frames === undefined) throw unavailable();
    yield* frames;
  }

  stats(): StoreStats {
    const events = this.#bodyCache.stats();
    const homeservers = new Map(
      [...this.#homeservers.all()].map((known) => [known.name, known.stats(this.#logBytesMax)]),
    );
    let logBytes = 0;
    for (const { follower } of this.#homeservers.all()) logBytes += follower.size.bytes;
    return {
      events,
      // It is all in Redis.
      metadata: { entries: 0, bytes: 0, bytesMax: 0, evictions: 0 },
      logBytes,
      logBytesMax: this.#logBytesMax,
      heapBytes: events.heapBytes + logBytes,
      heapBytesMax: this.#options.heapBytesMax,
      swept: 0,
      homeservers,
      remote: { isWell: this.#proofs.isWell, troubles: this.#options.redisLog.troubles },
    };
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#sliceTimer !== undefined) clearTimeout(this.#sliceTimer);
    this.#options.redisLog.close();
    await this.#options.link.close();
  }

  #enter(name: Homeserver): RemoteHomeserver {
    return this.#homeservers.enter(name, this.#options.clock());
  }

  #newHomeserver(name: Homeserver, nowMs: number): RemoteHomeserver {
    const { clock, link, log } = this.#options;
    const keys = new HomeserverKeys(this.#options.keyPrefix, name);
    return new RemoteHomeserver({
      name,
      nowMs,
      keys,
      log,
      makeLookups: (homeserver) => new Lookups((eventIds) => this.#lookUp(homeserver, eventIds)),
      makeFollower: (homeserver) =>
        new LogFollower({
          channel: {
            follow: (onMessage) => link.follow(keys.channel, onMessage),
            unfollow: () => link.unfollow(keys.channel),
          },
          readLog: (after, count) => this.#readLog(homeserver, after, count),
          isBelieved: (provenance) => this.#proofs.holds(provenance),
          counters: homeserver.counters,
          clock,
          freshForMs: this.#proofLifetimeMs,
          logBytesMax: this.#logBytesMax,
          defer,
          onClose: () => {
            homeserver.lastCallMs = clock();
          },
        }),
    });
  }

  async #lookUp(homeserver: RemoteHomeserver, eventIds: readonly EventId[]) {
    const keys = eventIds.map((eventId) => homeserver.keys.event(eventId));
    const { state, result } = await this.#calls.run(homeserver, this.#scripts.getEvents, keys, []);
    if (state.suspended) return { state, entries: [] };
    try {
      const reader = new EntryReader(result as Buffer);
      return { state, entries: eventIds.map(() => reader.next()) };
    } catch (error) {
      // Somebody else has written to our keys: that is no doubt that passes.
      this.#calls.note(error);
      throw error;
    }
  }

  async #readLog(homeserver: RemoteHomeserver, after: Position, enoughIds: number) {
    const args = [after.epoch, String(after.sequence), String(enoughIds)];
    const reply = await this.#calls.tryToRun(homeserver, this.#scripts.readLog, [], args);
    return reply && { state: reply.state, entries: reply.result as LogPage["entries"] };
  }

  async #announce(
    homeserver: RemoteHomeserver,
    kind: ChangeKind,
    script: Script,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<Position> {
    const { state } = await this.#calls.announce(homeserver, script, keys, args);
    homeserver.counters.changes[kind] += 1;
    return state.position;
  }

  async #set(
    homeserver: RemoteHomeserver,
    { eventId, roomId, asOf }: SetTarget,
    kind: "redacted" | "rejected",
    value: readonly ScriptArgument[],
  ): Promise<SetResult> {
    const { state, result } = await this.#calls.announce(
      homeserver,
      this.#scripts.setState,
      [homeserver.keys.event(eventId)],
      [kind, eventId, roomId ?? "", asOf?.epoch ?? "", String(asOf?.sequence ?? 0), ...value],
    );
    const outcome = String(result) as SetOutcome;
    homeserver.counters.changes[kind] += 1;
    homeserver.counters.sets[outcome] += 1;
    return { outcome, position: state.position };
  }

  /**
   * The redacted body of an event, as given or as made here from the body that the homeserver has, if one can
   * be made of that; undefined: it has none.
   */
  async #redactedBody(homeserver: RemoteHomeserver, eventId: EventId, given: Uint8Array | undefined) {
    const made = given === undefined ? await this.#redact(homeserver, eventId) : undefined;
    if (given === undefined && made === undefined) return undefined;
    const bytes = given ?? made?.redactedBody;
    if (bytes === undefined) return { reference: undefined, madeFrom: made?.from, bodies: NO_BODIES };
    const reference = referenceTo(bytes);
    return { reference, madeFrom: made?.from, bodies: new Map([[reference.digest, Buffer.from(bytes)]]) };
  }

  async #redact(homeserver: RemoteHomeserver, eventId: EventId) {
    const found = await homeserver.lookups.find([eventId]).catch(() => undefined);
    const entry = found?.entries[0];
    if (entry === undefined || typeof entry === "string") return undefined;
    const from = entry.body;
    const bodies = await this.#loadBodies([from]);
    const frame = bodies?.[0];
    return frame && { from, redactedBody: redactEvent(frameBody(frame), frameRoomVersion(frame)) };
  }

  async #loadBodies(references: readonly BodyReference[]): Promise<LoadedBodies | undefined> {
    try {
      return await this.#bodies.load(references);
    } catch (error) {
      this.#calls.note(error);
      return undefined;
    }
  }

  async #saveBodies(bodies: ReadonlyMap<Digest, Buffer>): Promise<void> {
    try {
      await this.#bodies.save(bodies);
    } catch (error) {
      this.#calls.note(error);
      throw unavailable(error);
    }
  }

  async #isSaved(bodies: ReadonlyMap<Digest, Buffer>): Promise<boolean> {
    try {
      await this.#saveBodies(bodies);
    } catch {
      return false;
    }
    this.#bodies.keep(bodies);
    return true;
  }

  #allMissing(
    homeserver: RemoteHomeserver,
    { eventIds }: ReadRequest,
    reason: MissReason,
    position: Position | undefined,
  ): ReadResult {
    // Whoever asks for the position alone wants the current one.
    if (position === undefined || (reason === "doubt" && eventIds.length === 0)) throw unavailable();
    homeserver.counters.misses[reason] += eventIds.length;
    return { position, events: eventIds.map(() => undefined) };
  }

  #leaseStatus({ position, suspended }: RemoteState): LeaseStatus {
    return { position, leaseDurationMs: this.#leaseDurationMs, suspended };
  }

  /** The copies of logs that somebody follows share the budget. */
  #shareLogs(): void {
    const followed = [...this.#homeservers.all()].filter(({ isHeld }) => isHeld);
    for (const { follower } of followed)
      follower.setBytesMax(Math.floor(this.#logBytesMax / followed.length));
  }

  /** Reads what a lost message would have told of; only then is a sign of life true. */
  #tick(): void {
    this.#noteWellness();
    this.#shareLogs();
    for (const { isHeld, follower } of this.#homeservers.all()) {
      if (isHeld)
        void follower.catchUp().then((isCaughtUp) => (isCaughtUp ? follower.hub.tick() : undefined));
    }
    this.#homeservers.forgetIdle(this.#options.clock(), () => true);
  }

  #noteWellness(): void {
    const { isWell } = this.#proofs;
    if (isWell !== this.#wasWell) this.#options.redisLog.wellnessChanged(isWell);
    this.#wasWell = isWell;
  }

  #sweep(): void {
    if (this.#sliceTimer === undefined) this.#slice();
  }

  #slice(): void {
    const { clock } = this.#options;
    const endMs = clock() + SWEEP_SLICE_MS;
    const workIsLeft = this.#bodyCache.expire(clock(), () => clock() >= endMs);
    this.#sliceTimer = workIsLeft ? setTimeout(() => this.#slice(), SWEEP_PAUSE_MS) : undefined;
  }
}

type SetTarget = Pick<Parameters<EventStore["setRejected"]>[0], "eventId" | "roomId" | "asOf">;

function refuseTooMany(result: unknown): void {
  if (String(result) !== "tooMany") return;
  const description = `the homeserver would have more than ${WRITERS_MAX} writers`;
  throw new CacheError("invalidArgument", description, { violations: [{ field: "writers", description }] });
}

const defer = (run: () => void): void => void setImmediate(run);

const NO_BODIES: ReadonlyMap<Digest, Buffer> = new Map();
const LEASE_TOKEN_BYTES = 16;
const SUBSCRIBE_RETRY_DELAY_MS = 5000;
