import {
  type CachedEvent,
  type EventCacheServiceClient,
  RedactionView,
} from "../gen/splitcache/v1/event_cache_service.js";
import { Calls } from "./calls.js";
import { type Change, type ChangesOptions, changes } from "./changes.js";
import { openChannel } from "./channel.js";
import { suspendAwareClock } from "./clock.js";
import type { Counters } from "./counters.js";
import type { EventToPut } from "./events.js";
import { Fills } from "./fills.js";
import type { Lookup } from "./flight.js";
import { TIMEOUT_MS_DEFAULT } from "./limits.js";
import { type GetOptions, Lookups } from "./lookups.js";
import { NearCache } from "./near/near-cache.js";
import { NearFollower } from "./near/near-follower.js";
import { type CallOptions, type ConnectOptions, checkConnectOptions } from "./options.js";
import { Gate } from "./outbox/gate.js";
import { Outbox } from "./outbox/outbox.js";
import { relayCalls } from "./outbox/relay-calls.js";
import type { Position } from "./position.js";
import { ReadRules } from "./read-rules.js";
import { ReadStream } from "./read-stream.js";
import { type Fetch, ReadThrough } from "./read-through.js";
import { Reader } from "./reader.js";
import { onAbort } from "./signals.js";
import { loadTelemetry, type StartSpan } from "./telemetry.js";
import {
  type ChangeOptions,
  type PutOutcomeName,
  type SetOptions,
  type SetResult,
  Writer,
} from "./writer.js";

/** The name in the sidecar's logs of a client that gives none. */
const NAME = "@splitcache/client";

/** A connection to a sidecar. */
export class SplitCache implements AsyncDisposable {
  /** Announces what transactions change; undefined unless `connect` was given an outbox. */
  readonly outbox: Outbox | undefined;
  readonly #client: EventCacheServiceClient;
  readonly #options: ConnectOptions;
  readonly #timeoutMs: number;
  readonly #rules: ReadRules;
  readonly #near: NearCache | undefined;
  readonly #follower: NearFollower | undefined;
  readonly #stream: ReadStream;
  readonly #reader: Reader;
  readonly #lookups: Lookups;
  readonly #readThrough: ReadThrough;
  readonly #writer: Writer;
  readonly #fills: Fills;
  readonly #end = new AbortController();

  /**
   * Connects. Rejects if an option is invalid or the database of the outbox cannot be reached, not because of
   * the sidecar: while that is down, lookups fail or miss.
   */
  static async connect(options: ConnectOptions): Promise<SplitCache> {
    checkConnectOptions(options);
    const startSpan = await loadTelemetry({
      "splitcache.homeserver": options.homeserver,
      ...options.attributes,
    });
    const cache = new SplitCache(options, startSpan);
    try {
      await cache.outbox?.start();
    } catch (error) {
      await cache.close();
      throw error;
    }
    return cache;
  }

  private constructor(options: ConnectOptions, startSpan: StartSpan) {
    const { homeserver, subscriber = NAME, onWarning: warn = () => undefined } = options;
    const clock = suspendAwareClock();
    const gate = options.outbox && new Gate(clock);
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    this.#client = openChannel(options);
    this.#rules = new ReadRules(clock, gate, () =>
      warn("two separate invalidation logs answer: the cache is not used any more"),
    );
    this.#stream = new ReadStream(
      () => this.#client.getEventsStream(),
      this.#timeoutMs,
      () => this.#reader.flushSoon(),
    );
    this.#reader = new Reader(homeserver, this.#stream, this.#rules);
    this.#near =
      options.nearCache &&
      new NearCache(options.nearCache.maxBytes, clock, this.#rules, (ids) => this.#reader.detach(ids));
    this.#rules.near = this.#near;
    this.#lookups = new Lookups(this.#reader, this.#near, startSpan, this.#timeoutMs);
    this.#writer = new Writer(
      new Calls(this.#client, this.#timeoutMs, startSpan),
      homeserver,
      (change, position) => {
        if (this.#near === undefined) this.#reader.detach();
        else this.#near.announced(change, position);
      },
    );
    this.#fills = new Fills((events, asOf) => this.#writer.put(events, asOf));
    this.#readThrough = new ReadThrough(this.#lookups, this.#fills, this.#rules);
    this.#follower =
      this.#near &&
      new NearFollower(
        this.#client,
        { homeserver, subscriber },
        this.#near,
        this.#rules,
        () => this.#requestPosition(),
        warn,
      );
    this.outbox =
      options.outbox && gate && new Outbox(options.outbox, gate, clock, relayCalls(this.#writer), warn);
  }

  /**
   * Looks up events. Answers each mention, in request order. Rejects with a SplitCacheError if the sidecar does
   * not answer: then read the database and fill nothing, as `getOrFetch` does.
   */
  getMany(ids: readonly string[], options?: GetOptions): Promise<Lookup> {
    return this.#lookups.getMany(ids, options);
  }

  /**
   * The events if this process has kept all of them and may use them now, without a promise; else undefined.
   * For inner loops: `cache.getKept(ids) ?? (await cache.getMany(ids)).events`.
   */
  getKept(ids: readonly string[], view?: GetOptions["view"]): readonly Readonly<CachedEvent>[] | undefined {
    return this.#lookups.getKept(ids, view);
  }

  /**
   * Looks up events, and has what is missing read by `fetch`, which is called after the reply. What it returns is
   * put in the background with the position of that reply: so the fence is kept. A sidecar that does not answer
   * makes all events missing. Returns the events by ID. Events that do not exist are absent.
   */
  getOrFetch(
    ids: readonly string[],
    fetch: Fetch,
    options?: GetOptions,
  ): Promise<ReadonlyMap<string, Readonly<CachedEvent>>> {
    return this.#readThrough.getOrFetch(ids, fetch, options);
  }

  /** Follows what changes: see `changes`. */
  async *changes(options: ChangesOptions = {}): AsyncGenerator<Change> {
    const { homeserver, subscriber = NAME } = this.#options;
    const ended = new AbortController();
    const forget = [options.signal, this.#end.signal].map((signal) => onAbort(signal, () => ended.abort()));
    const { resumeAfter } = options;
    try {
      yield* changes(this.#client, { homeserver, subscriber, resumeAfter, signal: ended.signal }, options);
    } finally {
      for (const each of forget) each();
    }
  }

  /** The homeserver's current position. Take it before a transaction begins, for `asOf` of `redact` and `reject`. */
  position(options?: CallOptions): Promise<Position> {
    return this.#writer.position(options);
  }

  /** Puts events that the database showed after `asOf`, a position of an earlier reply. Returns an outcome for each. */
  put(events: readonly EventToPut[], asOf: Position, options?: CallOptions): Promise<PutOutcomeName[]> {
    return this.#writer.put(events, asOf, options);
  }

  /** Announces a redaction, after the database commit. Repeat it until it resolves, or use the outbox. */
  redact(
    eventId: string,
    redaction: NonNullable<EventToPut["redaction"]>,
    options?: SetOptions,
  ): Promise<SetResult> {
    return this.#writer.redact(eventId, redaction, options);
  }

  /** Announces that an event is rejected, or is not any more, after the database commit. */
  reject(
    eventId: string,
    rejected: boolean,
    options?: SetOptions & { readonly reason?: string },
  ): Promise<SetResult> {
    return this.#writer.reject(eventId, rejected, options);
  }

  /** Announces that events changed in any way, after the database commit. */
  invalidate(eventIds: readonly string[], options?: ChangeOptions): Promise<Position> {
    return this.#writer.invalidate(eventIds, options);
  }

  /** Announces that a room changed as a whole, after the database commit. */
  purgeRoom(roomId: string, options?: CallOptions): Promise<Position> {
    return this.#writer.purgeRoom(roomId, options);
  }

  /** Announces that anything may have changed; with `newEpoch`, begins a new epoch. */
  purgeHomeserver(options?: CallOptions & { readonly newEpoch?: boolean }): Promise<Position> {
    return this.#writer.purgeHomeserver(options);
  }

  /** The age of the newest proof that the near cache is current, in milliseconds; Infinity without one. */
  get freshness(): number {
    return this.#near?.freshness ?? Number.POSITIVE_INFINITY;
  }

  /** What was counted since `connect`, and what is kept now. */
  get counters(): Counters {
    return {
      near: this.#near && { ...this.#near.counters, events: this.#near.count, bytes: this.#near.bytes },
      isNearUsable: this.#near?.isUsable() ?? false,
      reads: { ...this.#reader.counters, ...this.#rules.counters, streams: this.#stream.opened },
      fills: this.#fills.counters,
      hasTwoLogs: this.#rules.hasTwoLogs,
    };
  }

  /** Resolves when the fills that run now have ended. */
  settled(): Promise<void> {
    return this.#fills.settled();
  }

  /** Ends fills, streams and the outbox. Lookups that have no reply yet reject. May be called again. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.outbox?.close();
    await this.#fills.settled();
    await this.#follower?.close();
    this.#reader.close();
    this.#stream.close();
    this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #requestPosition(): Promise<void> {
    const request = { homeserver: this.#options.homeserver, eventIds: [], minPosition: undefined };
    const receive = this.#rules.sending(RedactionView.REDACTED);
    receive(await this.#stream.read({ ...request, redactionView: RedactionView.REDACTED }));
  }
}
