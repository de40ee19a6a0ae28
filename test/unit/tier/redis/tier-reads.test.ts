import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { NewEvent } from "../../../../src/core/model/types.js";
import { bodiesOf, encodeBody, referenceTo } from "../../../../src/tier/redis/body.js";
import { Breaker } from "../../../../src/tier/redis/breaker.js";
import { Failures } from "../../../../src/tier/redis/failures.js";
import { KeyNames } from "../../../../src/tier/redis/keys.js";
import {
  BODY_BYTES_IN_FLIGHT_MAX,
  KEYS_AT_ONCE_MAX,
  KEYS_IN_FLIGHT_MAX,
  READ_MS_MAX,
} from "../../../../src/tier/redis/limits.js";
import { MetadataCodec } from "../../../../src/tier/redis/metadata.js";
import { RedisLink } from "../../../../src/tier/redis/redis-link.js";
import { TierReads } from "../../../../src/tier/redis/tier-reads.js";
import { FakeConnection, type Received } from "../../../support/tier/fake-connection.js";
import { ALPHA, BETA, entryOf, idOf, SECRET } from "../../../support/tier/use-tiers.js";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const names = new KeyNames("test");
const codec = new MetadataCodec(SECRET);
const clock = () => vi.getMockedSystemTime()!.getTime();
const turn = () => vi.advanceTimersByTimeAsync(0);
const idsOf = (count: number, from = 0) => Array.from({ length: count }, (_, n) => idOf(from + n));

async function openReads() {
  const failures = new Failures({ connected: () => {}, failed: () => {} }, clock);
  const breaker = new Breaker(clock);
  let connection!: FakeConnection;
  const link = new RedisLink(
    (onLost) => {
      connection = new FakeConnection(onLost);
      return connection;
    },
    clock,
    { connected: () => {}, disconnected: () => {}, failed: () => {} },
  );
  await turn();
  const reads = new TierReads({
    link,
    names,
    codec,
    failures,
    breaker,
    wallClock: clock,
    readMsMax: READ_MS_MAX,
  });
  return { reads, failures, breaker, received: connection.received, link };
}

/** What a server holds that has these events of a homeserver. */
function valuesOf(events: readonly NewEvent[], claimedBytes?: number): Map<string, Buffer> {
  const values = new Map<string, Buffer>();
  for (const event of events) {
    const [body, redactedBody] = bodiesOf(event).map(encodeBody);
    const reference = { ...referenceTo(body!), size: claimedBytes ?? body!.length };
    const { rejected, rejectedReason, internalMetadata, redaction } = event;
    const name = names.metadata(ALPHA, event.eventId);
    const metadata = codec.encode(ALPHA, name, {
      ...{ rejected, rejectedReason, internalMetadata, redactedBy: redaction?.redactedBy },
      ...{ asOf: entryOf(0).asOf, expiresAtMs: clock() + 60_000 },
      body: reference,
      redactedBody: redactedBody && referenceTo(redactedBody),
    });
    values.set(name, metadata).set(names.body(reference.digest), body!);
    if (redactedBody !== undefined) values.set(names.body(referenceTo(redactedBody).digest), redactedBody);
  }
  return values;
}

const keysOf = ({ command }: Received) => command.slice(1) as string[];
const answer = (one: Received, values: ReadonlyMap<string, Buffer>) =>
  one.answer(keysOf(one).map((key) => values.get(key)));

describe("reads of the tier", () => {
  it("of one turn go together, and each gets its own", async () => {
    const { reads, received } = await openReads();
    const values = valuesOf([entryOf(1).event, entryOf(2).event]);
    const found = [
      reads.find(ALPHA, [idOf(1)]),
      reads.find(BETA, [idOf(1)]),
      reads.find(ALPHA, [idOf(2), idOf(3)]),
    ];
    await turn();
    expect(received).toHaveLength(1);
    expect(keysOf(received[0]!)).toHaveLength(4);
    answer(received[0]!, values);
    await turn();
    expect(received).toHaveLength(2);
    answer(received[1]!, values);
    const ids = (await Promise.all(found)).map((its) => its.map(({ event }) => event.eventId));
    expect(ids).toEqual([[idOf(1)], [], [idOf(2)]]);
  });

  it("ask for a body once where several entries share it", async () => {
    const { reads, received } = await openReads();
    const body = Buffer.from("{}");
    const events = [1, 2, 3].map((n) => entryOf(n, { body, redaction: undefined }).event);
    const values = valuesOf(events);
    const found = reads.find(ALPHA, idsOf(3, 1));
    await turn();
    answer(received[0]!, values);
    await turn();
    expect(keysOf(received[1]!)).toHaveLength(1);
    answer(received[1]!, values);
    expect(await found).toHaveLength(3);
  });

  it("ask for nothing more when no metadata is there", async () => {
    const { reads, received } = await openReads();
    const found = reads.find(ALPHA, [idOf(1)]);
    await turn();
    answer(received[0]!, new Map());
    expect(await found).toEqual([]);
    expect(received).toHaveLength(1);
  });

  it("keep to the bounds of one command and of all that are in flight; what waits is sent later", async () => {
    const { reads, received } = await openReads();
    const lookups = Array.from({ length: 10 }, (_, n) => reads.find(ALPHA, idsOf(500, 500 * n)));
    await turn();
    const keysInFlight = () => received.reduce((sum, one) => sum + keysOf(one).length, 0);
    expect(keysInFlight()).toBeLessThanOrEqual(KEYS_IN_FLIGHT_MAX);
    for (const one of received) expect(keysOf(one).length).toBeLessThanOrEqual(KEYS_AT_ONCE_MAX);
    for (let at = 0; at < received.length; at++) {
      answer(received[at]!, new Map());
      await turn();
    }
    expect(keysInFlight()).toBe(5000);
    expect(await Promise.all(lookups)).toEqual(Array(10).fill([]));
  });

  it("send a lookup that is larger than all bounds alone", async () => {
    const { reads, received } = await openReads();
    void reads.find(ALPHA, idsOf(10));
    void reads.find(ALPHA, idsOf(KEYS_IN_FLIGHT_MAX + 1));
    await turn();
    answer(received[0]!, new Map());
    await turn();
    expect(keysOf(received[1]!)).toHaveLength(KEYS_IN_FLIGHT_MAX + 1);
  });

  it("leave out bodies that would exceed the bytes in flight", async () => {
    const { reads, received, failures } = await openReads();
    const events = idsOf(10).map((_, n) => entryOf(n, { redaction: undefined }).event);
    const values = valuesOf(events, BODY_BYTES_IN_FLIGHT_MAX / 8);
    void reads.find(ALPHA, idsOf(10));
    await turn();
    answer(received[0]!, values);
    await turn();
    expect(received).toHaveLength(1 + 8);
    expect(failures.counts.overload).toBe(1);
  });

  it("end at the time limit with what has arrived, and open the breaker if nothing has", async () => {
    const { reads, received, breaker, failures } = await openReads();
    const found = reads.find(ALPHA, [idOf(1)]);
    await vi.advanceTimersByTimeAsync(READ_MS_MAX - 1);
    expect(breaker.isOpen).toBe(false);
    await vi.advanceTimersByTimeAsync(2);
    expect(await found).toEqual([]);
    expect([breaker.isOpen, failures.counts.timeout]).toEqual([true, 1]);
    // A late answer is dropped.
    answer(received[0]!, valuesOf([entryOf(1).event]));
    await turn();
    expect(received).toHaveLength(1);
    expect(breaker.isOpen).toBe(true);
  });

  it("give the part of the bodies that arrives within the time limit", async () => {
    const { reads, received, breaker } = await openReads();
    const events = [1, 2].map(
      (n) => entryOf(n, { body: Buffer.alloc(200_000, `${n}`), redaction: undefined }).event,
    );
    const values = valuesOf(events);
    const found = reads.find(ALPHA, idsOf(2, 1));
    await turn();
    answer(received[0]!, values);
    await turn();
    expect(received).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(READ_MS_MAX / 2);
    answer(received[2]!, values);
    await vi.advanceTimersByTimeAsync(READ_MS_MAX + 1);
    expect((await found).map(({ event }) => event.eventId)).toEqual([idOf(2)]);
    expect(breaker.isOpen).toBe(false);
  });

  it("open the breaker when Redis refuses them", async () => {
    const { reads, received, breaker } = await openReads();
    const found = reads.find(ALPHA, [idOf(1)]);
    await turn();
    received[0]!.refuse(new Error("LOADING"));
    expect(await found).toEqual([]);
    expect(breaker.isOpen).toBe(true);
  });

  it("that wait when the connection is lost end at once", async () => {
    const { reads, link } = await openReads();
    const found = reads.find(ALPHA, [idOf(1)]);
    await turn();
    link.close();
    expect(await found).toEqual([]);
  });
});
