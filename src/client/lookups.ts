import { type CachedEvent, RedactionView } from "../gen/splitcache/v1/event_cache_service.js";
import type { Lookup } from "./flight.js";
import type { NearCache } from "./near/near-cache.js";
import { type CallOptions, checkIds, checkTimeout } from "./options.js";
import type { Position } from "./position.js";
import type { Reader } from "./reader.js";
import { abortReason } from "./signals.js";
import type { StartSpan } from "./telemetry.js";

export interface GetOptions extends CallOptions {
  /** Which text of a redacted event to return. Defaults to "redacted". */
  readonly view?: "redacted" | "original" | undefined;
  /** A position that the reply must include, so that a client reads its own writes. */
  readonly minPosition?: Position | undefined;
}

const NONE: readonly never[] = Object.freeze([]);

/** Lookups: of the near cache first, without a promise for each event, then of the sidecar. */
export class Lookups {
  readonly #reader: Reader;
  readonly #near: NearCache | undefined;
  readonly #startSpan: StartSpan;
  readonly #timeoutMs: number;

  constructor(reader: Reader, near: NearCache | undefined, startSpan: StartSpan, timeoutMs: number) {
    this.#reader = reader;
    this.#near = near;
    this.#startSpan = startSpan;
    this.#timeoutMs = timeoutMs;
  }

  getMany(ids: readonly string[], options: GetOptions = {}): Promise<Lookup> {
    const { signal, view, minPosition } = options;
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    const near = this.#near;
    if (near === undefined || (minPosition !== undefined && !near.includes(minPosition)) || !near.isUsable())
      return this.#read(ids, options);
    const shown = wireView(view);
    const kept = new Array<Readonly<CachedEvent> | undefined>(ids.length);
    let misses = 0;
    for (let index = 0; index < ids.length; index += 1) {
      const event = near.get(ids[index]!, shown);
      kept[index] = event;
      if (event === undefined) misses += 1;
    }
    near.counters.hits += ids.length - misses;
    if (misses === 0) {
      return Promise.resolve({ events: kept as Readonly<CachedEvent>[], missing: NONE, asOf: undefined });
    }
    near.counters.misses += misses;
    return this.#readRest(ids, kept, options);
  }

  getKept(ids: readonly string[], view?: GetOptions["view"]): readonly Readonly<CachedEvent>[] | undefined {
    const near = this.#near;
    if (near === undefined || !near.isUsable()) return undefined;
    const shown = wireView(view);
    const events: Readonly<CachedEvent>[] = [];
    for (let index = 0; index < ids.length; index += 1) {
      const event = near.get(ids[index]!, shown);
      if (event === undefined) return undefined;
      events.push(event);
    }
    near.counters.hits += ids.length;
    return events;
  }

  async #read(ids: readonly string[], options: GetOptions): Promise<Lookup> {
    checkIds(ids);
    if (ids.length === 0) return { events: NONE, missing: NONE, asOf: undefined };
    const { signal, minPosition } = options;
    const timeoutMs = checkTimeout(options.timeoutMs ?? this.#timeoutMs);
    const span = this.#startSpan("splitcache.GetEvents");
    try {
      const found = await this.#reader.read({
        ids,
        view: wireView(options.view),
        minPosition,
        signal,
        timeoutMs,
      });
      span.end({ "splitcache.hits": found.events.length, "splitcache.misses": found.missing.length });
      return found;
    } catch (error) {
      span.end({}, error instanceof Error ? error : undefined);
      throw error;
    }
  }

  /** Looks up what the near cache does not have. */
  async #readRest(
    ids: readonly string[],
    kept: (Readonly<CachedEvent> | undefined)[],
    options: GetOptions,
  ): Promise<Lookup> {
    const rest = ids.filter((_, index) => kept[index] === undefined);
    const { events, missing, asOf } = await this.#read(rest, options);
    const found = new Map(events.map((event) => [event.eventId, event]));
    const all = ids.map((id, index) => kept[index] ?? found.get(id));
    return { events: all.filter((event) => event !== undefined), missing, asOf };
  }
}

function wireView(view: GetOptions["view"]): RedactionView {
  return view === "original" ? RedactionView.ORIGINAL : RedactionView.REDACTED;
}
