import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CorpusEvent, readCorpus } from "../../../../tools/replay/corpus.js";
import { TraceDatabase } from "../../../../tools/replay/trace-database.js";
import { readTrace, type WriteLine } from "../../../../tools/replay/trace-line.js";
import { sharedDataDir } from "../../../support/shared-data.js";

const MESSAGE = event({
  n: 0,
  event_id: "$message",
  json: '{"rewritten":1}',
  json_at_persist: '{"first":1}',
});
const REDACTION = event({ n: 1, event_id: "$redaction" });
const SECOND_LIFE = event({ n: 2, event_id: "$message", json: '{"second":1}', stream_ordering: -5 });
const SECOND_REDACTION = event({ n: 3, event_id: "$redaction2" });

const PERSIST_MESSAGE: WriteLine = persist(MESSAGE);
const PERSIST_REDACTION: WriteLine = persist(REDACTION);
const REDACT: WriteLine = redact("$redaction", true);

describe("TraceDatabase", () => {
  it("stores an event with its text of then, not its text of later", () => {
    const database = databaseAfter(PERSIST_MESSAGE);
    expect(bodyOf(database, "$message")).toBe('{"first":1}');
    expect(database.apply({ op: "censor", event_id: "$message" })).toEqual([
      { kind: "invalidated", cause: "censor", roomId: "!room", eventIds: ["$message"] },
    ]);
    expect(bodyOf(database, "$message")).toBe('{"rewritten":1}');
  });

  it("redacts a stored event by a redaction that is honoured", () => {
    const database = databaseAfter(PERSIST_MESSAGE, PERSIST_REDACTION);
    const redaction = { redactedBy: "$redaction", redactedBody: Buffer.from("{}") };
    expect(database.apply(REDACT)).toEqual([
      { kind: "redacted", roomId: "!room", eventId: "$message", redaction },
    ]);
    expect(database.event("$message")?.redaction).toEqual(redaction);
  });

  it("passes over a redaction that is not honoured or whose target was never seen", () => {
    const database = databaseAfter(PERSIST_MESSAGE, PERSIST_REDACTION);
    expect(database.apply(redact("$redaction", false))).toEqual([]);
    expect(database.apply(redact("$redaction", null))).toEqual([]);
    expect(database.event("$message")?.redaction).toBeUndefined();
  });

  it("keeps a redaction that comes before its target for the target", () => {
    const database = databaseAfter(PERSIST_REDACTION);
    expect(database.apply(REDACT)).toEqual([]);
    database.apply(PERSIST_MESSAGE);
    expect(database.event("$message")?.redaction?.redactedBy).toBe("$redaction");
  });

  it("leaves an event to its first redaction, and has the second when that is rejected", () => {
    const database = databaseAfter(PERSIST_MESSAGE, PERSIST_REDACTION, REDACT, persist(SECOND_REDACTION));
    expect(database.apply(redact("$redaction2", true))).toEqual([]);
    const rejected = database.apply({ op: "reject", event_id: "$redaction", reason: "auth_error" });
    expect(rejected).toEqual([
      { kind: "rejected", roomId: "!room", eventId: "$redaction", reason: "auth_error" },
      { kind: "invalidated", cause: "redaction", roomId: "!room", eventIds: ["$message"] },
    ]);
    expect(database.event("$message")?.redaction?.redactedBy).toBe("$redaction2");
    database.apply({ op: "unreject", event_id: "$redaction", reason: null });
    expect(database.event("$message")?.redaction?.redactedBy).toBe("$redaction");
  });

  it("announces what a purged redaction had redacted, beside the purged and the new outliers", () => {
    const database = databaseAfter(PERSIST_MESSAGE, PERSIST_REDACTION, REDACT, persist(SECOND_REDACTION));
    const effects = database.apply({
      op: "purge_history",
      room_id: "!room",
      event_ids: ["$redaction"],
      now_outliers: ["$redaction2"],
    });
    const eventIds = ["$redaction", "$redaction2", "$message"];
    expect(effects).toEqual([{ kind: "invalidated", cause: "purge_history", roomId: "!room", eventIds }]);
    expect(database.event("$redaction")).toBeUndefined();
    expect(database.event("$message")?.redaction).toBeUndefined();
    expect(metadataOf(database, "$redaction2")).toMatchObject({ outlier: true });
  });

  it("empties a room, and knows the second life of an event from its first", () => {
    const database = databaseAfter(PERSIST_MESSAGE, PERSIST_REDACTION);
    expect(database.apply({ op: "purge_room", room_id: "!room" })).toEqual([
      { kind: "roomPurged", roomId: "!room", eventIds: ["$message", "$redaction"] },
    ]);
    expect(database.event(database.eventIdOf(0))).toBeUndefined();
    database.apply(persist(SECOND_LIFE));
    expect(bodyOf(database, "$message")).toBe('{"second":1}');
    expect(metadataOf(database, "$message")).toMatchObject({ stream_ordering: -5 });
  });

  it("shows in the metadata when an event stops being an outlier", () => {
    const database = databaseAfter({ ...persist(MESSAGE), outlier: true });
    expect(metadataOf(database, "$message")).toMatchObject({ outlier: true });
    expect(database.apply({ op: "outlier", event_id: "$message", outlier: false, txn: 9 })).toMatchObject([
      { kind: "invalidated", cause: "outlier" },
    ]);
    expect(metadataOf(database, "$message")).toMatchObject({ outlier: false });
  });

  it("gives the same object until the event changes", () => {
    const database = databaseAfter(PERSIST_MESSAGE, PERSIST_REDACTION);
    const before = database.event("$message");
    expect(database.event("$message")).toBe(before);
    database.apply(REDACT);
    expect(database.event("$message")).not.toBe(before);
    expect(before?.redaction).toBeUndefined();
  });

  it("refuses a trace that speaks of other events", () => {
    const database = databaseAfter();
    expect(() => database.apply(PERSIST_MESSAGE)).not.toThrow();
    expect(() => database.apply({ op: "censor", event_id: "$never" })).toThrow("do not belong together");
    expect(() => database.eventIdOf(99)).toThrow("event number 99");
  });
});

/** Where every line was understood, the database ends as the recorded one did. */
describe("TraceDatabase after a whole trace", () => {
  it("ends as the shipped recording did", async () => {
    await expectRecordedEnd(join(import.meta.dirname, "../../../../demo"));
  });

  const dir = sharedDataDir();
  it.skipIf(dir === undefined)(
    "ends as the full recording did (needs SPLITCACHE_DATA or ../shared/data)",
    async () => {
      await expectRecordedEnd(dir ?? "");
    },
  );

  async function expectRecordedEnd(dir: string) {
    const corpus = await readCorpus(join(dir, "events.jsonl.gz"));
    const database = new TraceDatabase(corpus);
    for await (const line of readTrace(join(dir, "trace.jsonl.gz"))) {
      if (isWrite(line)) database.apply(line);
    }
    const recorded = [...corpus.values()].filter(({ purged }) => purged === null);
    expect([...database.eventIds()].length).toBe(recorded.length);
    for (const source of recorded) {
      const stored = database.event(source.event_id);
      const { outlier, stream_ordering } = metadataOf(database, source.event_id);
      expect({
        json: stored?.body.toString(),
        rejected_reason: stored?.rejected ? stored.rejectedReason : null,
        redacted_by: stored?.redaction?.redactedBy ?? null,
        outlier,
        stream_ordering,
      }).toEqual({
        json: source.json,
        rejected_reason: source.rejected_reason,
        redacted_by: source.redacted_by,
        outlier: source.outlier,
        stream_ordering: source.stream_ordering,
      });
    }
  }
});

function isWrite(line: { op: string }): line is WriteLine {
  return !["get", "fetch", "restart", "time", "invalidate", "have_seen"].includes(line.op);
}

function databaseAfter(...lines: WriteLine[]): TraceDatabase {
  const events = [MESSAGE, REDACTION, SECOND_LIFE, SECOND_REDACTION];
  const database = new TraceDatabase(new Map(events.map((source) => [source.n, source])));
  for (const line of lines) database.apply(line);
  return database;
}

function bodyOf(database: TraceDatabase, eventId: string): string | undefined {
  return database.event(eventId)?.body.toString();
}

function metadataOf(database: TraceDatabase, eventId: string) {
  return JSON.parse(database.event(eventId)?.internalMetadata.toString() ?? "null");
}

function persist({ n, event_id, stream_ordering }: CorpusEvent) {
  return { op: "persist", n, event_id, txn: n, stream_ordering } as const;
}

function redact(redactedBy: string, valid: boolean | null): WriteLine {
  return { op: "redact", room_id: "!room", event_id: "$message", redacted_by: redactedBy, valid };
}

function event(fields: Partial<CorpusEvent> & Pick<CorpusEvent, "n" | "event_id">): CorpusEvent {
  return {
    room_id: "!room",
    room_version: "10",
    format_version: 3,
    json: "{}",
    json_at_persist: null,
    pruned_json: "{}",
    internal_metadata: "{}",
    instance_name: "master",
    stream_ordering: fields.n,
    outlier: false,
    rejected_reason: null,
    redacted_by: null,
    purged: null,
    ...fields,
  };
}
