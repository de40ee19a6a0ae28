import type {
  CachedEvent,
  GetEventsRequest,
  GetEventsResponse,
  RedactionView,
} from "../gen/splitcache/v1/event_cache_service.js";
import { pauseBefore } from "./calls.js";
import { errorOf, SplitCacheError } from "./errors.js";
import { Flight, type Lookup, Waiter } from "./flight.js";
import { EVENT_IDS_MAX, IDS_WAITING_MAX } from "./limits.js";
import type { Position } from "./position.js";

/** The rules of replies: `sending` is asked when a request is sent, the result when its reply came. */
export interface ReplyRules {
  /** Whether a lookup may be sent now. Otherwise all its events are missing. */
  readonly mayRead: boolean;
  sending(view: RedactionView): ReceiveReply;
  /** Whether a lookup may join a lookup that was sent before. */
  readonly joinsSent: boolean;
}

/** Returns the events that may be used, by ID, and the position for fills. */
export type ReceiveReply = (response: GetEventsResponse) => {
  readonly events: ReadonlyMap<string, Readonly<CachedEvent>>;
  readonly asOf: Position | undefined;
};

export interface ReadRequest {
  readonly ids: readonly string[];
  readonly view: RedactionView;
  readonly minPosition: Position | undefined;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** Flights that may share a request. */
interface Group {
  readonly view: RedactionView;
  readonly minPosition: Position | undefined;
  waiting: Flight[];
}

interface Sender {
  readonly hasRoom: boolean;
  read(request: GetEventsRequest): Promise<GetEventsResponse>;
}

/** Joins the lookups of one turn of the event loop into requests, and looks up an event that several ask for once. */
export class Reader {
  readonly counters = { requests: 0, joined: 0, truncated: 0, repeated: 0 };
  readonly #homeserver: string;
  readonly #sender: Sender;
  readonly #rules: ReplyRules;
  readonly #groups = new Map<string, Group>();
  /** By view and ID: flights that a further lookup may join. */
  readonly #joinable = new Map<RedactionView, Map<string, Flight>>();
  readonly #flights = new Set<Flight>();
  #isFlushDue = false;
  #isClosed = false;

  constructor(homeserver: string, sender: Sender, rules: ReplyRules) {
    this.#homeserver = homeserver;
    this.#sender = sender;
    this.#rules = rules;
  }

  read({ ids, view, minPosition, ...limits }: ReadRequest): Promise<Lookup> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new SplitCacheError("CLOSED", "the client was closed"));
      if (this.#flights.size + ids.length > IDS_WAITING_MAX)
        return reject(
          new SplitCacheError("RESOURCE_EXHAUSTED", `more than ${IDS_WAITING_MAX} IDs wait for replies`),
        );
      const group = this.#group(view, minPosition);
      // A lookup with a position of its own must not be answered by one without it.
      const joinable = minPosition === undefined ? this.#joinableOf(view) : new Map<string, Flight>();
      const flights = ids.map((id) => {
        const flying = joinable.get(id);
        if (flying !== undefined) {
          this.counters.joined += 1;
          return flying;
        }
        const flight = new Flight(id);
        joinable.set(id, flight);
        this.#flights.add(flight);
        group.waiting.push(flight);
        return flight;
      });
      new Waiter(flights, limits, resolve, reject);
      this.#flushSoon();
    });
  }

  /** No further lookup joins the flights of these events, or any if undefined: they may have changed. */
  detach(ids?: Iterable<string>): void {
    for (const joinable of this.#joinable.values()) {
      if (ids === undefined) joinable.clear();
      else for (const id of ids) joinable.delete(id);
    }
  }

  /** Sends what waits, at the end of this turn of the event loop. */
  flushSoon(): void {
    if ([...this.#groups.values()].some(({ waiting }) => waiting.length > 0)) this.#flushSoon();
  }

  close(): void {
    this.#isClosed = true;
    this.detach();
    this.#groups.clear();
    for (const flight of this.#flights) flight.fail(new SplitCacheError("CLOSED", "the client was closed"));
    this.#flights.clear();
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    setImmediate(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    for (const [key, group] of this.#groups) {
      while (group.waiting.length > 0 && this.#sender.hasRoom) {
        const taken = group.waiting
          .splice(0, EVENT_IDS_MAX)
          .filter((flight) => this.#isWanted(group, flight));
        if (taken.length > 0) void this.#send(group, taken);
      }
      if (group.waiting.length === 0) this.#groups.delete(key);
    }
  }

  /** Forgets a flight whose callers have all given up. */
  #isWanted(group: Group, flight: Flight): boolean {
    if (flight.waiters.size > 0) return true;
    this.#forget(group, flight);
    return false;
  }

  async #send(group: Group, flights: readonly Flight[]): Promise<void> {
    const { view, minPosition } = group;
    if (!this.#rules.mayRead) {
      for (const flight of flights) {
        this.#forget(group, flight);
        flight.land(undefined, undefined);
      }
      return;
    }
    if (!this.#rules.joinsSent) for (const flight of flights) this.#unjoin(group, flight);
    const eventIds = flights.map(({ id }) => id);
    this.counters.requests += 1;
    const receive = this.#rules.sending(view);
    try {
      const request = { homeserver: this.#homeserver, eventIds, redactionView: view, minPosition };
      const response = await this.#sender.read(request);
      this.#land(group, flights, response, receive(response));
    } catch (failure) {
      this.#failed(group, flights, errorOf(failure));
    }
  }

  #land(
    group: Group,
    flights: readonly Flight[],
    { truncatedEventIds }: GetEventsResponse,
    { events, asOf }: ReturnType<ReceiveReply>,
  ): void {
    const truncated = new Set(truncatedEventIds);
    const again: Flight[] = [];
    for (const flight of flights) {
      // A reply that truncates everything would be asked for again for ever.
      if (truncated.has(flight.id) && truncated.size < flights.length) again.push(flight);
      else {
        this.#forget(group, flight);
        flight.land(events.get(flight.id), asOf);
      }
    }
    this.counters.truncated += again.length;
    if (again.length > 0) this.#requeue(group, again);
  }

  #failed(group: Group, flights: readonly Flight[], error: SplitCacheError): void {
    // A stream that was not answered in time is replaced: the next one may reach another process.
    const repeatable = error.code === "DEADLINE_EXCEEDED" ? { retryAfterMs: 0 } : error;
    const attempt = Math.max(...flights.map((flight) => flight.attempts)) + 1;
    const waitMs = this.#isClosed ? undefined : pauseBefore(repeatable as SplitCacheError, attempt);
    for (const flight of flights) {
      flight.attempts = attempt;
      flight.lastError = error;
      if (waitMs !== undefined) continue;
      this.#forget(group, flight);
      flight.fail(error);
    }
    if (waitMs === undefined) return;
    this.counters.repeated += flights.length;
    setTimeout(() => this.#requeue(group, flights), waitMs);
  }

  #requeue({ view, minPosition }: Group, flights: readonly Flight[]): void {
    const group = this.#group(view, minPosition);
    const wanted = flights.filter((flight) => this.#isWanted(group, flight));
    group.waiting.unshift(...wanted);
    this.#flushSoon();
  }

  #group(view: RedactionView, minPosition: Position | undefined): Group {
    const min = minPosition && `${minPosition.epoch.toString("hex")}:${minPosition.sequence}`;
    const key = `${view} ${min}`;
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group = { view, minPosition, waiting: [] };
    this.#groups.set(key, group);
    return group;
  }

  #joinableOf(view: RedactionView): Map<string, Flight> {
    const known = this.#joinable.get(view);
    if (known !== undefined) return known;
    const joinable = new Map<string, Flight>();
    this.#joinable.set(view, joinable);
    return joinable;
  }

  #forget(group: Group, flight: Flight): void {
    this.#flights.delete(flight);
    this.#unjoin(group, flight);
  }

  #unjoin({ view }: Group, flight: Flight): void {
    const joinable = this.#joinableOf(view);
    if (joinable.get(flight.id) === flight) joinable.delete(flight.id);
  }
}
