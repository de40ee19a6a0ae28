import type { EventId, Homeserver } from "../../core/types.js";
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
  READ_MS_MAX,
  ROUND_TRIP_MS_MAX,
} from "./limits.js";
import type { Link } from "./link.js";
import type { Metadata, MetadataCodec } from "./metadata.js";

export interface ReadsOptions {
  readonly link: Link;
  readonly names: KeyNames;
  readonly codec: MetadataCodec;
  readonly failures: Failures;
  readonly breaker: Breaker;
  readonly wallClock: () => number;
}

interface Lookup {
  readonly homeserver: Homeserver;
  readonly eventIds: readonly EventId[];
  /** Answers the caller, once. */
  readonly finish: (entries: readonly TierEntry[]) => void;
  isFinished: boolean;
}

/** Metadata that was found for a lookup, and where its entry goes. */
interface Found {
  readonly lookup: Lookup;
  readonly eventId: EventId;
  readonly metadata: Metadata;
}

/** Reads in two round trips: metadata, then the bodies that it names. Lookups of one turn go together. */
export class Reads {
  readonly #options: ReadsOptions;
  #waiting: Lookup[] = [];
  #keysInFlight = 0;
  #bodyBytesInFlight = 0;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  /** What is found within the time limit. Never rejects. */
  find(homeserver: Homeserver, eventIds: readonly EventId[]): Promise<readonly TierEntry[]> {
    return new Promise((resolve) => {
      const finish = (entries: readonly TierEntry[]) => {
        lookup.isFinished = true;
        clearTimeout(timer);
        resolve(entries);
      };
      const lookup: Lookup = { homeserver, eventIds, finish, isFinished: false };
      const timer = afterInput(READ_MS_MAX, () => {
        if (lookup.isFinished) return;
        this.#options.failures.note("timeout", `a read was not answered within ${READ_MS_MAX} ms`);
        finish([]);
      });
      if (this.#waiting.length === 0) setImmediate(() => this.#send());
      this.#waiting.push(lookup);
    });
  }

  #send(): void {
    while (this.#waiting.length > 0) {
      const batch: Lookup[] = [];
      let keys = 0;
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        const isRoom = this.#keysInFlight + keys + next.eventIds.length <= KEYS_IN_FLIGHT_MAX;
        // A lookup that is larger than all bounds goes alone.
        if (keys > 0 && (!isRoom || keys + next.eventIds.length > KEYS_AT_ONCE_MAX)) break;
        if (keys === 0 && !isRoom && this.#keysInFlight > 0) return;
        this.#waiting.shift();
        if (next.isFinished) continue;
        batch.push(next);
        keys += next.eventIds.length;
      }
      if (batch.length > 0) void this.#read(batch, keys);
    }
  }

  async #read(batch: readonly Lookup[], keys: number): Promise<void> {
    this.#keysInFlight += keys;
    const settled = () => {
      this.#keysInFlight -= keys;
      this.#send();
    };
    const found = await this.#readMetadata(batch, settled);
    const bodies = await this.#readBodies(found);
    const entries = new Map<Lookup, TierEntry[]>(batch.map((lookup) => [lookup, []]));
    for (const one of found) {
      const entry = entryOf(one, bodies);
      if (entry !== undefined) entries.get(one.lookup)!.push(entry);
    }
    for (const [lookup, its] of entries) if (!lookup.isFinished) lookup.finish(its);
  }

  async #readMetadata(batch: readonly Lookup[], settled: () => void): Promise<readonly Found[]> {
    const { names, codec, failures, wallClock } = this.#options;
    const keys = batch.flatMap(({ homeserver, eventIds }) =>
      eventIds.map((eventId) => names.metadata(homeserver, eventId)),
    );
    const values = await this.#fetch(keys, settled);
    const found: Found[] = [];
    let at = 0;
    for (const lookup of batch) {
      for (const eventId of lookup.eventIds) {
        const [key, value] = [keys[at]!, values[at]];
        at += 1;
        if (value === undefined) continue;
        const metadata = codec.decode(lookup.homeserver, key, value);
        if (metadata === "forged" || metadata === "version") failures.note(metadata, REJECTED[metadata]);
        else if (metadata.expiresAtMs > wallClock()) found.push({ lookup, eventId, metadata });
      }
    }
    return found;
  }

  async #readBodies(found: readonly Found[]): Promise<ReadonlyMap<string, Body>> {
    const { names, failures } = this.#options;
    const wanted = new Map<string, BodyReference>();
    for (const { metadata } of found)
      for (const reference of referencesOf(metadata)) wanted.set(nameOf(reference), reference);
    const bodies = new Map<string, Body>();
    await Promise.all(
      this.#chunksOf(wanted.values()).map(async ({ references, bytes }) => {
        this.#bodyBytesInFlight += bytes;
        const keys = references.map(({ digest }) => names.body(digest));
        const values = await this.#fetch(keys, () => {
          this.#bodyBytesInFlight -= bytes;
        });
        for (const [at, reference] of references.entries()) {
          const value = values[at];
          if (value === undefined) continue;
          const body = decodeBody(value, reference);
          if (body === undefined) failures.note("damaged", "a body is not the one that was stored");
          else bodies.set(nameOf(reference), body);
        }
      }),
    );
    return bodies;
  }

  /** What may be fetched, in parts of moderate size; the rest is a miss. */
  #chunksOf(wanted: Iterable<BodyReference>): readonly Chunk[] {
    const chunks: Chunk[] = [];
    let left = BODY_BYTES_IN_FLIGHT_MAX - this.#bodyBytesInFlight;
    for (const reference of wanted) {
      left -= reference.size;
      if (left < 0) {
        this.#options.failures.note("overload", "reads of bodies from Redis were left out");
        break;
      }
      const last = chunks.at(-1);
      if (last === undefined || last.bytes + reference.size > BODY_BYTES_AT_ONCE_MAX)
        chunks.push({ references: [reference], bytes: reference.size });
      else {
        last.references.push(reference);
        last.bytes += reference.size;
      }
    }
    return chunks;
  }

  /** The values that arrive within the limit of a round trip. `settled` is called when no more can come. */
  #fetch(keys: readonly string[], settled: () => void): Promise<readonly (Buffer | undefined)[]> {
    const { link, failures, breaker } = this.#options;
    const values: (Buffer | undefined)[] = new Array(keys.length);
    return new Promise((resolve) => {
      let isLate = false;
      const timer = afterInput(ROUND_TRIP_MS_MAX, () => {
        isLate = true;
        failures.note("timeout", `Redis did not answer within ${ROUND_TRIP_MS_MAX} ms`);
        if (link.isSilentFor(ROUND_TRIP_MS_MAX)) breaker.failed();
        else breaker.late();
        // A copy: what arrives later must not change what was returned.
        resolve([...values]);
      });
      let arrived = 0;
      const onValue = (index: number, value: Buffer | undefined) => {
        values[index] = value;
        arrived += 1;
      };
      link
        .run((connection) => connection.get(keys, onValue))
        .then(
          () => isLate || breaker.answered(),
          (error: unknown) => {
            failures.noteError(error);
            if (!isLate && arrived === 0) breaker.failed();
          },
        )
        .finally(() => {
          clearTimeout(timer);
          settled();
          resolve(values);
        });
    });
  }
}

interface Chunk {
  readonly references: BodyReference[];
  bytes: number;
}

const REJECTED = {
  forged: "an entry was not written by a sidecar with this key file, under this name",
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
  // Without its redacted body a redacted event would be another one.
  if (original === undefined || (redactedBody !== undefined && redacted === undefined)) return undefined;
  const { rejected, rejectedReason, internalMetadata, asOf, expiresAtMs } = metadata;
  const redaction = redactedBy === undefined ? undefined : { redactedBy, redactedBody: redacted?.body };
  return {
    event: { eventId, ...original, rejected, rejectedReason, redaction, internalMetadata },
    asOf,
    expiresAtMs,
  };
}

/** A timer that lets answers be read first which arrived while the event loop was busy. */
function afterInput(ms: number, call: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(call), ms);
}
