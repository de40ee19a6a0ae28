import type { EventId, Homeserver } from "../../core/model/types.js";
import type { TierEntry } from "../port.js";
import { type Body, type BodyReference, decodeBody } from "./body.js";
import type { Breaker } from "./breaker.js";
import type { Failures } from "./failures.js";
import type { KeyNames } from "./keys.js";
import {
  BODY_BYTES_AT_ONCE_MAX,
  BODY_BYTES_IN_FLIGHT_MAX,
  KEYS_AT_ONCE_MAX,
  KEYS_IN_FLIGHT_MAX,
} from "./limits.js";
import type { Metadata, MetadataCodec } from "./metadata.js";
import type { RedisLink } from "./redis-link.js";

export interface TierReadsOptions {
  readonly link: RedisLink;
  readonly names: KeyNames;
  readonly codec: MetadataCodec;
  readonly failures: Failures;
  readonly breaker: Breaker;
  readonly readMsMax: number;
  readonly wallClock: () => number;
}

interface Lookup {
  readonly homeserver: Homeserver;
  readonly eventIds: readonly EventId[];
  readonly entries: TierEntry[];
  /** Resolves the lookup with the entries that were found. Later calls do nothing. */
  readonly finish: () => void;
  isFinished: boolean;
}

/** Metadata that was found for a lookup. */
interface Found {
  readonly lookup: Lookup;
  readonly eventId: EventId;
  readonly metadata: Metadata;
}

/** The bodies that one command reads, each once. */
interface Chunk {
  readonly references: Map<string, BodyReference>;
  readonly found: Found[];
  bytes: number;
}

/** Reads in two round trips: metadata, then the bodies that it names. Lookups of one turn are sent together. */
export class TierReads {
  readonly #options: TierReadsOptions;
  #waiting: Lookup[] = [];
  #keysInFlight = 0;
  #bodyBytesInFlight = 0;

  constructor(options: TierReadsOptions) {
    this.#options = options;
  }

  /** The entries that are found within the time limit. Never rejects. */
  find(homeserver: Homeserver, eventIds: readonly EventId[]): Promise<readonly TierEntry[]> {
    return new Promise((resolve) => {
      const entries: TierEntry[] = [];
      const finish = () => {
        lookup.isFinished = true;
        clearTimeout(timer);
        resolve(entries);
      };
      const lookup: Lookup = { homeserver, eventIds, entries, finish, isFinished: false };
      // Answers that arrived while the event loop was busy are read first.
      const timer = setTimeout(() => setImmediate(() => this.#expire(lookup)), this.#options.readMsMax);
      if (this.#waiting.length === 0) setImmediate(() => this.#send());
      this.#waiting.push(lookup);
    });
  }

  #expire(lookup: Lookup): void {
    if (lookup.isFinished) return;
    const { link, failures, breaker, readMsMax } = this.#options;
    failures.note("timeout", `a read was not complete within ${readMsMax} ms`);
    if (link.isSilentFor(readMsMax)) breaker.failed();
    else breaker.late();
    lookup.finish();
  }

  #send(): void {
    while (this.#waiting.length > 0) {
      const batch: Lookup[] = [];
      let keys = 0;
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        const more = keys + next.eventIds.length;
        // A lookup that exceeds a bound by itself is sent alone.
        if (keys > 0 && more > KEYS_AT_ONCE_MAX) break;
        if (keys + this.#keysInFlight > 0 && this.#keysInFlight + more > KEYS_IN_FLIGHT_MAX) break;
        this.#waiting.shift();
        if (next.isFinished) continue;
        batch.push(next);
        keys = more;
      }
      // The rest waits for replies.
      if (batch.length === 0) return;
      void this.#read(batch, keys);
    }
  }

  async #read(batch: readonly Lookup[], keys: number): Promise<void> {
    this.#keysInFlight += keys;
    const found = await this.#readMetadata(batch);
    this.#keysInFlight -= keys;
    this.#send();
    await Promise.all(this.#chunksOf(found).map((chunk) => this.#readBodies(chunk)));
    for (const lookup of batch) lookup.finish();
  }

  async #readMetadata(batch: readonly Lookup[]): Promise<readonly Found[]> {
    const { names, codec, failures, wallClock } = this.#options;
    const asked = batch.flatMap((lookup) =>
      lookup.eventIds.map((eventId) => ({
        lookup,
        eventId,
        key: names.metadata(lookup.homeserver, eventId),
      })),
    );
    const keys = asked.map(({ key }) => key);
    const values = await this.#fetch(keys, () => batch.some(({ isFinished }) => !isFinished));
    const found: Found[] = [];
    for (const [at, { lookup, eventId, key }] of asked.entries()) {
      const value = values[at];
      if (value === undefined || lookup.isFinished) continue;
      const metadata = codec.decode(lookup.homeserver, key, value);
      if (metadata === "forged" || metadata === "version") failures.note(metadata, REJECTED[metadata]);
      else if (metadata.expiresAtMs > wallClock()) found.push({ lookup, eventId, metadata });
    }
    return found;
  }

  async #readBodies({ references, found, bytes }: Chunk): Promise<void> {
    const { names, failures } = this.#options;
    this.#bodyBytesInFlight += bytes;
    const keys = [...references.values()].map(({ digest }) => names.body(digest));
    const values = await this.#fetch(keys, () => found.some(({ lookup }) => !lookup.isFinished));
    this.#bodyBytesInFlight -= bytes;
    const bodies = new Map<string, Body>();
    for (const [at, [name, reference]] of [...references].entries()) {
      const value = values[at];
      if (value === undefined) continue;
      const body = decodeBody(value, reference);
      if (typeof body === "string") failures.note(body, REJECTED[body]);
      else bodies.set(name, body);
    }
    for (const one of found) {
      const entry = entryOf(one, bodies);
      if (entry !== undefined && !one.lookup.isFinished) one.lookup.entries.push(entry);
    }
  }

  /** The bodies that may be read, in parts of moderate size. The rest are misses. */
  #chunksOf(found: readonly Found[]): readonly Chunk[] {
    const chunks: Chunk[] = [];
    let left = BODY_BYTES_IN_FLIGHT_MAX - this.#bodyBytesInFlight;
    for (const one of found) {
      const references = referencesOf(one.metadata);
      const bytes = references.reduce((sum, { size }) => sum + size, 0);
      left -= bytes;
      if (left < 0) {
        this.#options.failures.note("overload", "bodies were not read: too many are on their way");
        break;
      }
      let chunk = chunks.at(-1);
      if (chunk === undefined || chunk.bytes + bytes > BODY_BYTES_AT_ONCE_MAX) {
        chunk = { references: new Map(), found: [], bytes: 0 };
        chunks.push(chunk);
      }
      for (const reference of references) chunk.references.set(nameOf(reference), reference);
      chunk.found.push(one);
      chunk.bytes += bytes;
    }
    return chunks;
  }

  /** The valid values. A reply that arrives before the time limit shows that Redis answers in time. */
  async #fetch(keys: readonly string[], isAwaited: () => boolean): Promise<readonly (Buffer | undefined)[]> {
    const { link, failures, breaker } = this.#options;
    const values: (Buffer | undefined)[] = new Array(keys.length);
    let arrived = 0;
    try {
      await link.run((connection) =>
        connection.get(keys, (index, value) => {
          values[index] = value;
          arrived += 1;
        }),
      );
    } catch (error) {
      failures.noteError(error);
      if (arrived === 0) breaker.failed();
    }
    if (arrived > 0 && isAwaited()) breaker.answered();
    return values;
  }
}

const REJECTED = {
  forged: "an entry was not written by a sidecar with this key file, under this name",
  damaged: "a body differs from the stored one",
  version: "an entry has a form that this version does not know",
} as const;

const nameOf = ({ digest }: BodyReference): string => digest.toString("latin1");

function referencesOf({ body, redactedBody }: Metadata): readonly BodyReference[] {
  return redactedBody === undefined ? [body] : [body, redactedBody];
}

function entryOf({ eventId, metadata }: Found, bodies: ReadonlyMap<string, Body>): TierEntry | undefined {
  const original = bodies.get(nameOf(metadata.body));
  const { redactedBody, redactedBy } = metadata;
  const redacted = redactedBody === undefined ? undefined : bodies.get(nameOf(redactedBody));
  // A redacted event without its redacted body would be a different state.
  if (original === undefined || (redactedBody !== undefined && redacted === undefined)) return undefined;
  const { rejected, rejectedReason, internalMetadata, asOf, expiresAtMs } = metadata;
  const redaction = redactedBy === undefined ? undefined : { redactedBy, redactedBody: redacted?.body };
  return {
    event: { eventId, ...original, rejected, rejectedReason, redaction, internalMetadata },
    asOf,
    expiresAtMs,
  };
}
