import { describe, expect, it } from "vitest";
import { SplitCacheError } from "../../../src/client/errors.js";
import { Reader } from "../../../src/client/reader.js";
import {
  type GetEventsRequest,
  type GetEventsResponse,
  RedactionView,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { at, keptEvent } from "../../support/client/near-under-test.js";

interface Asked {
  readonly request: GetEventsRequest;
  readonly answer: (response: Partial<GetEventsResponse>) => void;
  readonly fail: (error: SplitCacheError) => void;
}

/** A reader whose requests a test answers. */
function readerUnderTest({ joinsSent = false } = {}) {
  const asked: Asked[] = [];
  const rules = { mayRead: true, joinsSent };
  const sender = {
    hasRoom: true,
    read: (request: GetEventsRequest) =>
      new Promise<GetEventsResponse>((resolve, reject) => {
        const empty = { events: [], missingEventIds: [], truncatedEventIds: [], position: at(1) };
        asked.push({ request, answer: (given) => resolve({ ...empty, ...given }), fail: reject });
      }),
  };
  const reader = new Reader("example.org", sender, {
    get mayRead() {
      return rules.mayRead;
    },
    get joinsSent() {
      return rules.joinsSent;
    },
    sending: () => (response) => ({
      events: new Map(response.events.map((event) => [event.eventId, event])),
      asOf: response.position,
    }),
  });
  const read = (
    ids: string[],
    { minPosition, timeoutMs = 10_000 }: { minPosition?: ReturnType<typeof at>; timeoutMs?: number } = {},
  ) => reader.read({ ids, view: RedactionView.REDACTED, minPosition, signal: undefined, timeoutMs });
  return { reader, asked, rules, sender, read };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const idsOf = (asked: readonly Asked[]) => asked.map(({ request }) => request.eventIds);

describe("Reader", () => {
  it("splits what does not fit into one request", async () => {
    const { read, asked } = readerUnderTest();
    const reading = read(Array.from({ length: 501 }, (_, n) => `$${n}`));
    await turn();
    expect(idsOf(asked).map(({ length }) => length)).toEqual([500, 1]);
    for (const { answer } of asked) answer({});
    expect((await reading).missing).toHaveLength(501);
  });

  it("does not join a request that is under way: it may be older than a change that was announced", async () => {
    const { read, asked } = readerUnderTest();
    const first = read(["$a"]);
    await turn();
    const second = read(["$a"]);
    await turn();
    expect(idsOf(asked)).toEqual([["$a"], ["$a"]]);
    asked[1]?.answer({ events: [keptEvent("$a")] });
    expect((await second).events).toHaveLength(1);
    asked[0]?.answer({});
    expect((await first).missing).toEqual(["$a"]);
  });

  it("joins a request under way while notices tell what changed, but not after a notice that names the event", async () => {
    const { reader, read, asked } = readerUnderTest({ joinsSent: true });
    const readings = [read(["$a", "$b"])];
    await turn();
    readings.push(read(["$a", "$b"]));
    reader.detach(["$a"]);
    readings.push(read(["$a", "$b"]));
    await turn();
    expect(idsOf(asked)).toEqual([["$a", "$b"], ["$a"]]);
    for (const { answer } of asked) answer({});
    await Promise.all(readings);
  });

  it("does not let a lookup with a position of its own join another one", async () => {
    const { read, asked } = readerUnderTest({ joinsSent: true });
    const readings = [
      read(["$a"]),
      read(["$a"], { minPosition: at(7) }),
      read(["$a"], { minPosition: at(8) }),
    ];
    await turn();
    expect(asked.map(({ request }) => request.minPosition?.sequence)).toEqual([undefined, 7n, 8n]);
    for (const { answer } of asked) answer({});
    await Promise.all(readings);
  });

  it("answers missing, without a request, while lookups may not be sent", async () => {
    const { read, asked, rules } = readerUnderTest();
    const reading = read(["$a"]);
    rules.mayRead = false;
    expect(await reading).toEqual({ events: [], missing: ["$a"], asOf: undefined });
    expect(asked).toEqual([]);
  });

  it("repeats a request only where the contract permits it", async () => {
    const { read, asked } = readerUnderTest();
    const reading = read(["$a"]);
    await turn();
    asked[0]?.fail(new SplitCacheError("UNAVAILABLE", "draining", { retryAfterMs: 1 }));
    while (asked.length < 2) await turn();
    asked[1]?.fail(new SplitCacheError("RESOURCE_EXHAUSTED", "too large"));
    await expect(reading).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await turn();
    expect(asked).toHaveLength(2);
  });

  it("does not repeat a request for callers that have given up", async () => {
    const { read, asked, reader } = readerUnderTest();
    const reading = read(["$a"], { timeoutMs: 1 });
    await turn();
    await expect(reading).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    asked[0]?.fail(new SplitCacheError("UNAVAILABLE", "draining", { retryAfterMs: 1 }));
    const other = read(["$b"]);
    while (reader.counters.repeated === 0) await turn();
    await turn();
    expect(
      idsOf(asked)
        .flat()
        .filter((id) => id === "$a"),
    ).toHaveLength(1);
    while (asked.length < 2) await turn();
    asked[1]?.answer({});
    await other;
  });

  it("joins what waits while the stream is full", async () => {
    const { read, asked, sender, reader } = readerUnderTest();
    sender.hasRoom = false;
    const readings = [read(["$a"])];
    await turn();
    readings.push(read(["$b"]));
    await turn();
    expect(asked).toEqual([]);
    sender.hasRoom = true;
    reader.flushSoon();
    await turn();
    expect(idsOf(asked)).toEqual([["$a", "$b"]]);
    asked[0]?.answer({});
    await Promise.all(readings);
  });

  it("answers one lookup from one epoch alone", async () => {
    const { read, asked } = readerUnderTest();
    const ids = Array.from({ length: 501 }, (_, n) => `$${n}`);
    const reading = read(ids);
    await turn();
    asked[0]?.answer({ events: [keptEvent("$0")] });
    asked[1]?.answer({ events: [keptEvent("$500")], position: at(1, Buffer.alloc(16, 9)) });
    const { events, missing, asOf } = await reading;
    expect(events.map(({ eventId }) => eventId)).toEqual(["$0"]);
    expect(missing).toContain("$500");
    expect(asOf).toEqual(at(1));
  });
});
