import type { CachedEvent } from "../gen/splitcache/v1/event_cache_service.js";
import { SplitCacheError } from "./errors.js";
import { epochOf, type Position } from "./position.js";
import { abortReason, onAbort } from "./signals.js";

/** What a lookup found. Each mention of an ID is answered, in request order. */
export interface Lookup {
  /** The hits. They are frozen and may be shared: do not write into their bodies. */
  readonly events: readonly Readonly<CachedEvent>[];
  /** Read these from the database, after this reply. */
  readonly missing: readonly string[];
  /** The position for fills of what is missing; undefined: fill nothing. */
  readonly asOf: Position | undefined;
}

/** The lookup of one event, which any number of callers wait for. */
export class Flight {
  readonly id: string;
  readonly waiters = new Set<Waiter>();
  event: Readonly<CachedEvent> | undefined;
  asOf: Position | undefined;
  attempts = 0;
  lastError: SplitCacheError | undefined;

  constructor(id: string) {
    this.id = id;
  }

  land(event: Readonly<CachedEvent> | undefined, asOf: Position | undefined): void {
    this.event = event;
    this.asOf = asOf;
    for (const waiter of this.waiters) waiter.landed();
  }

  fail(error: SplitCacheError): void {
    for (const waiter of this.waiters) waiter.fail(error);
  }
}

/** One caller that waits for flights. */
export class Waiter {
  readonly #flights: readonly Flight[];
  readonly #resolve: (lookup: Lookup) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #forget: () => void;
  #left: number;

  /** `flights` has one for each ID, in request order; it may name one twice. */
  constructor(
    flights: readonly Flight[],
    { signal, timeoutMs }: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number },
    resolve: (lookup: Lookup) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#flights = flights;
    this.#resolve = resolve;
    this.#reject = reject;
    for (const flight of flights) flight.waiters.add(this);
    this.#left = new Set(flights).size;
    this.#timer = setTimeout(() => this.fail(this.#timedOut()), timeoutMs);
    this.#forget = onAbort(signal, () => this.fail(abortReason(signal!)));
  }

  landed(): void {
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#end();
    this.#resolve(lookupOf(this.#flights));
  }

  fail(reason: unknown): void {
    this.#end();
    this.#reject(reason);
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#forget();
    for (const flight of this.#flights) flight.waiters.delete(this);
  }

  #timedOut(): SplitCacheError {
    const cause = this.#flights.find(({ lastError }) => lastError !== undefined)?.lastError;
    const why = cause === undefined ? "" : `; the last attempt failed: ${cause.message}`;
    return new SplitCacheError("DEADLINE_EXCEEDED", `the lookup was not answered in time${why}`, { cause });
  }
}

/** One lookup is of one epoch: what replies of another one show is missing. */
function lookupOf(flights: readonly Flight[]): Lookup {
  const asOf = flights.find((flight) => flight.asOf !== undefined)?.asOf;
  const epoch = asOf && epochOf(asOf);
  const events: Readonly<CachedEvent>[] = [];
  const missing: string[] = [];
  for (const flight of flights) {
    const isOfEpoch = flight.asOf === asOf || (flight.asOf !== undefined && epochOf(flight.asOf) === epoch);
    if (flight.event !== undefined && isOfEpoch) events.push(flight.event);
    else missing.push(flight.id);
  }
  return { events, missing, asOf };
}
