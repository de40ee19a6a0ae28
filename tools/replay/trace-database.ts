import { CliError, ExitCode } from "../../src/cli/exit-code.js";
import type { CachedEvent, Redaction } from "../../src/gen/splitcache/v1/event_cache_service.js";
import type { Corpus, CorpusEvent } from "./corpus.js";
import type { TraceId, WriteLine } from "./trace-line.js";

/** A put or an announcement that the homeserver must send after it committed a change. */
export type Effect =
  | { readonly kind: "persisted"; readonly eventId: string }
  | {
      readonly kind: "redacted";
      readonly roomId: string;
      readonly eventId: string;
      readonly redaction: Redaction;
    }
  | {
      readonly kind: "rejected";
      readonly roomId: string;
      readonly eventId: string;
      /** Absent: the event is no longer rejected. */
      readonly reason: string | undefined;
    }
  | {
      readonly kind: "invalidated";
      readonly cause: InvalidationCause;
      readonly roomId: string;
      readonly eventIds: readonly string[];
    }
  | { readonly kind: "roomPurged"; readonly roomId: string; readonly eventIds: readonly string[] };

/** Why events were invalidated. `redaction`: a redaction of the event took or lost effect. */
export type InvalidationCause = "redaction" | "outlier" | "censor" | "expire" | "purge_history";

/** A stored event. Replaced as a whole, never changed in place, so a reader may keep it. */
interface Row {
  readonly source: CorpusEvent;
  readonly json: string;
  readonly rejectedReason: string | undefined;
  readonly outlier: boolean;
  readonly streamOrdering: number;
}

/**
 * The database of the recorded homeserver. It applies the lines of a trace, returns
 * the effects that must be sent to the cache, and holds the current state of events.
 */
export class TraceDatabase {
  readonly #corpus: Corpus;
  readonly #rows = new Map<string, Row>();
  readonly #events = new Map<string, CachedEvent>();
  readonly #rooms = new Map<string, Set<string>>();
  /** Event → its effective redactions, stored or not: a redaction may come before its target. */
  readonly #redactions = new Map<string, Set<string>>();
  readonly #targets = new Map<string, string>();

  constructor(corpus: Corpus) {
    this.#corpus = corpus;
  }

  /** The event ID that a trace line refers to. */
  eventIdOf(id: TraceId): string {
    return typeof id === "string" ? id : this.#source(id).event_id;
  }

  /** The stored event, or undefined. The same object until the event changes. */
  event(eventId: string): CachedEvent | undefined {
    const row = this.#rows.get(eventId);
    if (row === undefined) return undefined;
    const known = this.#events.get(eventId);
    if (known !== undefined) return known;
    const made = cachedEvent(row, this.#redactionOf(row));
    this.#events.set(eventId, made);
    return made;
  }

  /** The IDs of all stored events. */
  eventIds(): Iterable<string> {
    return this.#rows.keys();
  }

  /** Commits the change of one line and returns its effects on the cache. */
  apply(line: WriteLine): readonly Effect[] {
    switch (line.op) {
      case "persist":
        return this.#persist(line);
      case "redact":
        return this.#redact(line);
      case "outlier":
        this.#change(line.event_id, { outlier: line.outlier });
        return [this.#invalidated("outlier", line.event_id)];
      case "reject":
      case "unreject":
        return this.#setRejected(line.event_id, line.reason ?? undefined);
      case "censor":
      case "expire":
        this.#change(line.event_id, { json: this.#row(line.event_id).source.json });
        return [this.#invalidated(line.op, line.event_id)];
      case "purge_history":
        return this.#purgeHistory(line);
      case "purge_room":
        return this.#purgeRoom(line.room_id);
    }
  }

  #persist(line: WriteLine & { op: "persist" }): readonly Effect[] {
    const source = this.#source(line.n);
    this.#rows.set(line.event_id, {
      source,
      json: source.json_at_persist ?? source.json,
      rejectedReason: line.rejected,
      outlier: line.outlier === true,
      streamOrdering: line.stream_ordering,
    });
    const room = this.#rooms.get(source.room_id) ?? new Set();
    this.#rooms.set(source.room_id, room.add(line.event_id));
    return [{ kind: "persisted", eventId: line.event_id }, ...this.#invalidateTarget(line.event_id)];
  }

  /** A redaction that is not honoured, or whose target is not stored, changes no cached event. */
  #redact(line: WriteLine & { op: "redact" }): readonly Effect[] {
    if (line.valid !== true) return [];
    const redactions = this.#redactions.get(line.event_id) ?? new Set();
    this.#redactions.set(line.event_id, redactions.add(line.redacted_by));
    this.#targets.set(line.redacted_by, line.event_id);
    this.#events.delete(line.event_id);
    const redaction = this.event(line.event_id)?.redaction;
    if (redaction?.redactedBy !== line.redacted_by) return [];
    return [{ kind: "redacted", roomId: line.room_id, eventId: line.event_id, redaction }];
  }

  #setRejected(eventId: string, reason: string | undefined): readonly Effect[] {
    this.#change(eventId, { rejectedReason: reason });
    const roomId = this.#row(eventId).source.room_id;
    return [{ kind: "rejected", roomId, eventId, reason }, ...this.#invalidateTarget(eventId)];
  }

  /** When a redaction is removed, its targets are no longer redacted. */
  #purgeHistory(line: WriteLine & { op: "purge_history" }): readonly Effect[] {
    const changed = new Set([...line.event_ids, ...line.now_outliers]);
    for (const eventId of line.event_ids) {
      const target = this.#touchTarget(eventId);
      if (target !== undefined) changed.add(target);
      this.#delete(eventId);
    }
    for (const eventId of line.now_outliers) this.#change(eventId, { outlier: true });
    return [{ kind: "invalidated", cause: "purge_history", roomId: line.room_id, eventIds: [...changed] }];
  }

  #purgeRoom(roomId: string): readonly Effect[] {
    const eventIds = [...(this.#rooms.get(roomId) ?? [])];
    for (const eventId of eventIds) this.#delete(eventId);
    return [{ kind: "roomPurged", roomId, eventIds }];
  }

  /** Discards the derived state of a redaction's stored target, as it depends on the redaction. */
  #touchTarget(redactionId: string): string | undefined {
    const target = this.#targets.get(redactionId);
    if (target === undefined || !this.#rows.has(target)) return undefined;
    this.#events.delete(target);
    return target;
  }

  #invalidateTarget(redactionId: string): readonly Effect[] {
    const target = this.#touchTarget(redactionId);
    return target === undefined ? [] : [this.#invalidated("redaction", target)];
  }

  #invalidated(cause: InvalidationCause, eventId: string): Effect {
    const { room_id: roomId } = this.#row(eventId).source;
    return { kind: "invalidated", cause, roomId, eventIds: [eventId] };
  }

  #change(eventId: string, change: Partial<Row>): void {
    this.#rows.set(eventId, { ...this.#row(eventId), ...change });
    this.#events.delete(eventId);
  }

  #delete(eventId: string): void {
    this.#rooms.get(this.#row(eventId).source.room_id)?.delete(eventId);
    this.#rows.delete(eventId);
    this.#events.delete(eventId);
  }

  /** The first redaction of an event that is stored and not rejected. */
  #redactionOf({ source }: Row): Redaction | undefined {
    for (const redactedBy of this.#redactions.get(source.event_id) ?? []) {
      const redaction = this.#rows.get(redactedBy);
      if (redaction !== undefined && redaction.rejectedReason === undefined) {
        return { redactedBy, redactedBody: Buffer.from(source.pruned_json) };
      }
    }
    return undefined;
  }

  #row(eventId: string): Row {
    return this.#rows.get(eventId) ?? inconsistent(`${eventId} is not stored, but the trace changes it`);
  }

  #source(n: number): CorpusEvent {
    return this.#corpus.get(n) ?? inconsistent(`event number ${n} is not among the events`);
  }
}

/** The internal metadata contains the homeserver's fields besides the text, so that stale metadata is detected. */
function cachedEvent(row: Row, redaction: Redaction | undefined): CachedEvent {
  const { source } = row;
  return {
    eventId: source.event_id,
    roomId: source.room_id,
    roomVersion: source.room_version,
    body: Buffer.from(row.json),
    rejected: row.rejectedReason !== undefined,
    rejectedReason: row.rejectedReason ?? "",
    redaction,
    internalMetadata: Buffer.from(
      JSON.stringify({
        format_version: source.format_version,
        stream_ordering: row.streamOrdering,
        instance_name: source.instance_name,
        outlier: row.outlier,
        internal_metadata: source.internal_metadata,
      }),
    ),
  };
}

function inconsistent(problem: string): never {
  throw new CliError(ExitCode.usage, `the events and the trace do not belong together: ${problem}`);
}
