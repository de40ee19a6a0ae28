import type { EventId, Homeserver } from "../../core/model/types.js";
import type { TierEntry } from "../port.js";
import { bodiesOf, encodeBody, referenceTo } from "./body.js";
import type { Failures } from "./failures.js";
import type { KeyNames } from "./keys.js";
import { FILL_BYTES_AT_ONCE_MAX, FILL_BYTES_MAX, FILLS_AT_ONCE_MAX, FILLS_MAX } from "./limits.js";
import type { MetadataCodec } from "./metadata.js";
import type { Argument, RedisConnection } from "./redis-connection.js";
import type { RedisLink } from "./redis-link.js";

export interface FillsOptions {
  readonly link: RedisLink;
  readonly names: KeyNames;
  readonly codec: MetadataCodec;
  readonly failures: Failures;
  readonly ttlMs: number;
  readonly wallClock: () => number;
}

type Command = readonly [key: string, command: Argument[]];

/** An entry or removals to be written, with their counted size. */
interface Fill {
  readonly bytes: number;
  readonly entries: number;
  /** Created when it is sent: hashing all of a large request at once would block the event loop. */
  readonly commands: () => readonly Command[];
}

/** Writes in the background, in order. Writes that exceed the bounds are dropped. */
export class Fills {
  readonly #options: FillsOptions;
  readonly #waiting: Fill[] = [];
  #isSending = false;
  #bytes = 0;
  #count = 0;
  #written = 0;
  #dropped = 0;

  constructor(options: FillsOptions) {
    this.#options = options;
  }

  get written(): number {
    return this.#written;
  }

  get dropped(): number {
    return this.#dropped;
  }

  put(homeserver: Homeserver, entries: readonly TierEntry[]): void {
    for (const entry of entries) {
      const bytes = bytesOf(entry);
      if (!this.#admits(bytes)) this.#dropped += 1;
      else this.#add({ bytes, entries: 1, commands: this.#prepare(homeserver, entry) });
    }
  }

  /** Removals are small, and are admitted while entries are. */
  drop(homeserver: Homeserver, eventIds: readonly EventId[]): void {
    for (const eventId of eventIds) {
      const key = this.#options.names.metadata(homeserver, eventId);
      if (this.#admits(key.length))
        this.#add({ bytes: key.length, entries: 0, commands: () => [[key, ["UNLINK", key]]] });
    }
  }

  #admits(bytes: number): boolean {
    const isRoom = this.#bytes + bytes <= FILL_BYTES_MAX && this.#count < FILLS_MAX;
    const isUp = this.#options.link.isUp;
    if (isUp && !isRoom) this.#options.failures.note("overload", "writes to Redis were dropped");
    return isUp && isRoom;
  }

  #add(fill: Fill): void {
    this.#bytes += fill.bytes;
    this.#count += 1;
    this.#waiting.push(fill);
    if (this.#isSending) return;
    this.#isSending = true;
    setImmediate(() => this.#send());
  }

  /** The body comes first: metadata without it is a miss. */
  #prepare(homeserver: Homeserver, { event, asOf, expiresAtMs }: TierEntry): () => readonly Command[] {
    const { names, codec, ttlMs, wallClock } = this.#options;
    const bodies = bodiesOf(event).map(encodeBody);
    const internalMetadata = Buffer.from(event.internalMetadata);
    const { eventId, rejected, rejectedReason } = event;
    const redactedBy = event.redaction?.redactedBy;
    return () => {
      const leftMs = Math.min(ttlMs, expiresAtMs - wallClock());
      if (leftMs <= 0) return [];
      const references = bodies.map(referenceTo);
      const key = names.metadata(homeserver, eventId);
      const value = codec.encode(homeserver, key, {
        ...{ asOf, expiresAtMs, rejected, rejectedReason, redactedBy, internalMetadata },
        body: references[0]!,
        redactedBody: references[1],
      });
      const bodyCommands = bodies.map((body, at) => set(names.body(references[at]!.digest), body, ttlMs));
      return [...bodyCommands, set(key, value, leftMs)];
    };
  }

  #send(): void {
    let count = 0;
    let bytes = 0;
    for (const fill of this.#waiting) {
      if (count > 0 && (count === FILLS_AT_ONCE_MAX || bytes + fill.bytes > FILL_BYTES_AT_ONCE_MAX)) break;
      count += 1;
      bytes += fill.bytes;
    }
    const fills = this.#waiting.splice(0, count);
    this.#isSending = this.#waiting.length > 0;
    if (this.#isSending) setImmediate(() => this.#send());
    void this.#write(fills);
  }

  async #write(fills: readonly Fill[]): Promise<void> {
    try {
      await this.#options.link.run((connection) =>
        Promise.all(fills.map((fill) => this.#writeOne(connection, fill))),
      );
    } catch (error) {
      this.#options.failures.noteError(error);
    } finally {
      for (const { bytes } of fills) this.#bytes -= bytes;
      this.#count -= fills.length;
    }
  }

  async #writeOne(connection: RedisConnection, { entries, commands }: Fill): Promise<void> {
    const sent = commands().map(([key, command]) => connection.send(key, command));
    const failed = (await Promise.allSettled(sent)).find(({ status }) => status === "rejected");
    if (failed === undefined) this.#written += entries;
    else this.#options.failures.noteError((failed as PromiseRejectedResult).reason);
  }
}

/** The memory of an entry until it is written: its copies, and some hundred bytes around them. */
function bytesOf({ event }: TierEntry): number {
  const { body, redaction, internalMetadata } = event;
  const redacted = redaction?.redactedBody?.byteLength ?? 0;
  return body.byteLength + redacted + internalMetadata.byteLength + ENTRY_BYTES;
}

const ENTRY_BYTES = 1024;

const set = (key: string, value: Buffer, ttlMs: number): Command => [
  key,
  ["SET", key, value, "PX", String(Math.ceil(ttlMs))],
];
