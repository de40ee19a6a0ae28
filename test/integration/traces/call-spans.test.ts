import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { BUILD_TIMEOUT_MS, buildProgram, type Program } from "../../support/program/build-program.js";
import { cachedEvent, HOMESERVER, put, ROOM_ID, read } from "../../support/server/wire.js";
import { type OtlpReceiver, startOtlpReceiver } from "../../support/traces/otlp-receiver.js";
import {
  callWith,
  metadataOf,
  startTraced,
  type TracedProgram,
} from "../../support/traces/traced-program.js";

let program: Program;
let receiver: OtlpReceiver;
let sidecar: TracedProgram;

beforeAll(async () => {
  program = await buildProgram();
  receiver = await startOtlpReceiver();
  sidecar = await startTraced(program, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "20",
    OTEL_SERVICE_NAME: "cache-of-alpha",
    OTEL_RESOURCE_ATTRIBUTES: "k8s.pod.name=worker-0",
  });
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await sidecar.stop();
  await receiver.stop();
  await program.remove();
});

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";

/** A homeserver of its own for each test, by which its spans are found. */
let homeservers = 0;
const newHomeserver = () => `hs${++homeservers}.example`;

const ofHomeserver = (homeserver: string) => ({ "splitcache.homeserver": homeserver });

async function fill(homeserver: string, events: wire.CachedEvent[]): Promise<wire.Position | undefined> {
  const { client } = sidecar;
  const { position } = await callWith(client, client.getEvents, read([], { homeserver }));
  await callWith(client, client.putEvents, put(events, position, homeserver));
  return position;
}

describe("the span of a unary call", () => {
  it("follows the conventions for RPC", async () => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    await callWith(client, client.getEvents, read(["$absent"], { homeserver }));
    const span = await receiver.span("GetEvents", ofHomeserver(homeserver));
    expect(span).toMatchObject({ kind: 2, parentSpanId: undefined, links: [], statusCode: 0 });
    expect(span.durationNs).toBeGreaterThan(0n);
    expect(span.attributes).toEqual({
      "rpc.system": "grpc",
      "rpc.service": "splitcache.v1.EventCacheService",
      "rpc.method": "GetEvents",
      "rpc.grpc.status_code": 0,
      "splitcache.homeserver": homeserver,
      "splitcache.events": 1,
      "splitcache.hits": 0,
      "splitcache.misses": 1,
      "splitcache.truncated": 0,
      "splitcache.verified": true,
    });
    expect(span.resource).toMatchObject({ "service.name": "cache-of-alpha", "k8s.pod.name": "worker-0" });
    expect(span.resource["service.version"]).toMatch(/^\d+\.\d+\.\d+/);
  });

  it("counts what a read has answered", async () => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    const ids = Array.from({ length: 20 }, (_, at) => `$large${at}`);
    for (const id of ids) await fill(homeserver, [cachedEvent(id, { body: Buffer.alloc(250_000, "x") })]);
    const reply = await callWith(client, client.getEvents, read([...ids, "$absent"], { homeserver }));
    expect(reply.truncatedEventIds.length).toBeGreaterThan(0);
    const span = await receiver.span("GetEvents", { ...ofHomeserver(homeserver), "splitcache.events": 21 });
    expect(span.attributes).toMatchObject({
      "splitcache.hits": reply.events.length,
      "splitcache.misses": reply.missingEventIds.length,
      "splitcache.truncated": reply.truncatedEventIds.length,
    });
  });

  it("counts the outcomes of puts", async () => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    const before = await fill(homeserver, [cachedEvent("$a"), cachedEvent("$b"), cachedEvent("$c")]);
    const stored = await receiver.span("PutEvents", ofHomeserver(homeserver));
    expect(stored.attributes).toMatchObject({ "splitcache.events": 3, "splitcache.stored": 3 });
    const invalidate = { homeserver, roomId: ROOM_ID, eventIds: ["$a", "$b"] };
    await callWith(client, client.invalidateEvents, invalidate);
    const invalidated = await receiver.span("InvalidateEvents", ofHomeserver(homeserver));
    expect(invalidated.attributes).toMatchObject({ "splitcache.events": 2 });
    const late = [cachedEvent("$a"), cachedEvent("$b"), cachedEvent("$c"), cachedEvent("$d")];
    const { outcomes } = await callWith(client, client.putEvents, put(late, before, homeserver));
    expect(outcomes.filter((outcome) => outcome === wire.PutOutcome.FENCED)).toHaveLength(2);
    const fenced = await receiver.span("PutEvents", {
      ...ofHomeserver(homeserver),
      "splitcache.events": 4,
    });
    expect(fenced.attributes).toMatchObject({ "splitcache.fenced": 2, "splitcache.stored": 2 });
    const [event, asOf] = [cachedEvent("$a"), before];
    await callWith(client, client.putEvent, { homeserver, event, asOf });
    const single = await receiver.span("PutEvent", ofHomeserver(homeserver));
    expect(single.attributes).toMatchObject({ "splitcache.events": 1, "splitcache.fenced": 1 });
  });

  it("names the outcome of a change", async () => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    const asOf = await fill(homeserver, [cachedEvent("$a")]);
    const redaction = wire.Redaction.create({ redactedBy: "$r", redactedBody: Buffer.from("{}") });
    const set = { homeserver, roomId: ROOM_ID, redaction };
    await callWith(client, client.setRedaction, { ...set, eventId: "$a", asOf });
    const applied = await receiver.span("SetRedaction", ofHomeserver(homeserver));
    expect(applied.attributes).toMatchObject({ "splitcache.outcome": "applied", "splitcache.events": 1 });
    await callWith(client, client.setRedaction, { ...set, eventId: "$a", asOf: undefined });
    await receiver.span("SetRedaction", { ...ofHomeserver(homeserver), "splitcache.outcome": "dropped" });
  });

  it("has the status of a call that failed, and is an error only if the server is at fault", async () => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    const bad = put([cachedEvent("$secret-id")], undefined, homeserver);
    await expect(callWith(client, client.putEvents, bad)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    const span = await receiver.span("PutEvents", ofHomeserver(homeserver));
    expect(span.attributes["rpc.grpc.status_code"]).toBe(status.INVALID_ARGUMENT);
    expect(span.statusCode).toBe(0);
  });
});

describe("the caller's span", () => {
  const parents: [string, Record<string, string>, string][] = [
    ["traceparent", { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01` }, TRACE_ID],
    ["uber-trace-id", { "uber-trace-id": `${TRACE_ID}:${PARENT_ID}:0:1` }, TRACE_ID],
    [
      "a short, encoded uber-trace-id",
      { "uber-trace-id": `48eb211c80319c%3A${PARENT_ID}%3A0%3A1` },
      "48eb211c80319c".padStart(32, "0"),
    ],
    [
      "traceparent before uber-trace-id",
      { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01`, "uber-trace-id": `1:${PARENT_ID}:0:1` },
      TRACE_ID,
    ],
    [
      "uber-trace-id if traceparent is malformed",
      { traceparent: "00-nonsense", "uber-trace-id": `${TRACE_ID}:${PARENT_ID}:0:1` },
      TRACE_ID,
    ],
  ];
  it.each(parents)("is the parent by %s", async (_, headers, traceId) => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    await callWith(client, client.getEvents, read(["$x"], { homeserver }), headers);
    const span = await receiver.span("GetEvents", ofHomeserver(homeserver));
    expect(span).toMatchObject({ traceId, parentSpanId: PARENT_ID });
  });

  it.each([
    ["malformed headers", { traceparent: "00-zz", "uber-trace-id": "%E0%A4%A:x" }],
    ["IDs that are no hexadecimal numbers", { "uber-trace-id": "xyz:xyz:0:1" }],
  ])("is not taken from %s", async (_, headers) => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    await callWith(client, client.getEvents, read(["$x"], { homeserver }), headers);
    const span = await receiver.span("GetEvents", ofHomeserver(homeserver));
    expect(span.parentSpanId).toBeUndefined();
    expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each([
    ["traceparent", { traceparent: `00-${TRACE_ID}-${PARENT_ID}-00` }],
    ["uber-trace-id", { "uber-trace-id": `${TRACE_ID}:${PARENT_ID}:0:0` }],
  ])("decides that the call is not sampled, by %s", async (_, headers) => {
    const { client } = sidecar;
    const [unsampled, next] = [newHomeserver(), newHomeserver()];
    await callWith(client, client.getEvents, read(["$x"], { homeserver: unsampled }), headers);
    await callWith(client, client.getEvents, read(["$x"], { homeserver: next }));
    await receiver.span("GetEvents", ofHomeserver(next));
    expect(
      receiver.spans().filter(({ attributes }) => attributes["splitcache.homeserver"] === unsampled),
    ).toEqual([]);
  });
});

describe("streams", () => {
  it("have a span for each request of a read stream, in a trace of its own and linked to the stream's", async () => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    await fill(homeserver, [cachedEvent("$a")]);
    const stream = client.getEventsStream(metadataOf({ traceparent: `00-${TRACE_ID}-${PARENT_ID}-00` }));
    const ended = new Promise((resolve) => stream.on("end", resolve));
    stream.resume();
    stream.write({ requestId: 1n, request: read(["$a", "$absent"], { homeserver }) });
    stream.write({
      requestId: 2n,
      request: read(["$a"], { homeserver, minPosition: wire.Position.create({}) }),
    });
    stream.write({ requestId: 3n, request: read(["$a", "$absent", "$other"], { homeserver }) });
    stream.end();
    await ended;
    const first = await receiver.span("GetEventsStream", {
      ...ofHomeserver(homeserver),
      "splitcache.events": 2,
    });
    expect(first.attributes).toMatchObject({ "splitcache.hits": 1, "splitcache.misses": 1 });
    expect(first.links).toEqual([{ traceId: TRACE_ID, spanId: PARENT_ID }]);
    const isThird = { ...ofHomeserver(homeserver), "splitcache.events": 3 };
    const third = await receiver.span("GetEventsStream", isThird);
    expect(third.traceId).not.toBe(first.traceId);
    expect([first.parentSpanId, third.parentSpanId]).toEqual([undefined, undefined]);
    const failed = await receiver.span("GetEventsStream", {
      "rpc.grpc.status_code": status.INVALID_ARGUMENT,
    });
    expect(failed.attributes).not.toHaveProperty("splitcache.hits");
    // The stream itself has ended with OK.
    const spans = receiver.spans().filter(({ name }) => name.endsWith("/GetEventsStream"));
    expect(spans).toHaveLength(3);
  });

  it("have a span for the start of a subscription", async () => {
    const { client } = sidecar;
    const homeserver = newHomeserver();
    const request = { homeserver, resumeAfter: undefined, subscriber: "test" };
    const headers = metadataOf({ "uber-trace-id": `${TRACE_ID}:${PARENT_ID}:0:1` });
    const subscription = client.subscribe(request, headers);
    subscription.on("error", () => {});
    subscription.resume();
    const span = await receiver.span("Subscribe", ofHomeserver(homeserver));
    expect(span).toMatchObject({ traceId: TRACE_ID, parentSpanId: PARENT_ID });
    expect(span.attributes).toMatchObject({ "splitcache.start": "new", "rpc.grpc.status_code": 0 });
    subscription.cancel();
  });
});

it("have had no ID of a room or an event", () => {
  const text = receiver.requests.map(({ body }) => body.toString()).join("\n");
  expect(text).toContain(HOMESERVER.split(".")[1]);
  expect(text).not.toMatch(/\$(a|b|absent|large|x|secret-id)|!room/);
});
