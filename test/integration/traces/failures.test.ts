import { Metadata, status } from "@grpc/grpc-js";
import { SpanStatusCode } from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type Sampler,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { expect, it } from "vitest";
import type { EventStore } from "../../../src/core/model/store.js";
import { createCallTracer } from "../../../src/telemetry/traces/call-tracer.js";
import { eventually } from "../../support/eventually.js";
import { call } from "../../support/server/calls.js";
import { useGrpcServers } from "../../support/server/grpc-server.js";
import { read } from "../../support/server/wire.js";
import { decorateStore } from "../../support/store/decorate-store.js";
import { makeMemoryStore } from "../../support/store/store-harness.js";

const startServer = useGrpcServers();

/** A traced server, with its spans and the lines of its log. */
async function startTraced({ store, sampler }: { store?: EventStore; sampler?: Sampler } = {}) {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    sampler: sampler ?? new AlwaysOnSampler(),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  const clocks = { clock: () => performance.now(), wallClock: Date.now };
  const tracer = createCallTracer(provider.getTracer("test"), { showsIds: false, ...clocks });
  const errors: Readonly<Record<string, unknown>>[] = [];
  const logger = {
    error: (_: string, fields: (typeof errors)[number]) => errors.push(fields),
    debug: () => {},
  };
  const server = await startServer({ ...(store && { store }), tracer, logger });
  const spans = () =>
    exporter.getFinishedSpans().map((span) => ({
      method: span.attributes["rpc.method"],
      code: span.attributes["rpc.grpc.status_code"],
      status: span.status.code,
      links: span.links,
      ids: { trace_id: span.spanContext().traceId, span_id: span.spanContext().spanId },
    }));
  return { client: server.client(), server, errors, spans };
}

function brokenStore(): EventStore {
  return decorateStore(makeMemoryStore().store, {
    getEvents: () => {
      throw new Error("a defect");
    },
  });
}

it("a request of a read stream has no link to an ID that no collector would take", async () => {
  const { client, spans } = await startTraced();
  const headers = new Metadata();
  headers.set("uber-trace-id", `${"a".repeat(4000)}:1:0:1`);
  const stream = client.getEventsStream(headers);
  stream.resume();
  stream.write({ requestId: 1n, request: read(["$a"]) });
  await eventually(() => expect(spans()).toMatchObject([{ method: "GetEventsStream", links: [] }]));
  stream.end();
});

it("the log line of a defect names the span of its call", async () => {
  const { client, errors, spans } = await startTraced({ store: brokenStore() });
  await expect(call(client, client.getEvents, read(["$a"]))).rejects.toMatchObject({ code: status.INTERNAL });
  await eventually(() => expect(spans()).toHaveLength(1));
  const [span] = spans();
  expect(span).toMatchObject({ method: "GetEvents", code: status.INTERNAL, status: SpanStatusCode.ERROR });
  expect(errors).toMatchObject([{ err: expect.any(Error), ...span?.ids }]);
});

it("the log line of a defect in a read stream names the span of its request", async () => {
  const { client, errors, spans } = await startTraced({ store: brokenStore() });
  const stream = client.getEventsStream();
  const ended = new Promise((resolve) => stream.on("end", resolve));
  stream.resume();
  stream.write({ requestId: 1n, request: read(["$a"]) });
  stream.end();
  await ended;
  expect(spans()).toMatchObject([{ method: "GetEventsStream", code: status.INTERNAL }]);
  expect(errors).toMatchObject([{ err: expect.any(Error), ...spans()[0]?.ids }]);
});

it("the log line of a call that is not sampled names no span", async () => {
  const sampler = new AlwaysOffSampler();
  const { client, errors, spans } = await startTraced({ store: brokenStore(), sampler });
  await expect(call(client, client.getEvents, read(["$a"]))).rejects.toMatchObject({ code: status.INTERNAL });
  expect(errors).toEqual([{ err: expect.any(Error) }]);
  expect(spans()).toEqual([]);
});

it("a read stream that fails has a span of its own", async () => {
  const { client, server, spans } = await startTraced();
  const stream = client.getEventsStream();
  const failed = new Promise((resolve) => stream.on("error", resolve));
  stream.resume();
  stream.write({ requestId: 1n, request: read(["$a"]) });
  await eventually(() => expect(spans()).toMatchObject([{ code: status.OK }]));
  server.drain();
  expect(await failed).toMatchObject({ code: status.UNAVAILABLE });
  await eventually(() =>
    expect(spans()[1]).toMatchObject({
      method: "GetEventsStream",
      code: status.UNAVAILABLE,
      status: SpanStatusCode.ERROR,
    }),
  );
});

it("a call that is refused at its headers has a span", async () => {
  const { client, server, spans } = await startTraced();
  server.drain();
  await expect(call(client, client.getEvents, read([]))).rejects.toMatchObject({ code: status.UNAVAILABLE });
  const subscription = client.subscribe({ homeserver: "hs", resumeAfter: undefined, subscriber: "" });
  await new Promise((resolve) => subscription.on("error", resolve).resume());
  await eventually(() =>
    expect(spans()).toMatchObject([
      { method: "GetEvents", code: status.UNAVAILABLE },
      { method: "Subscribe", code: status.UNAVAILABLE },
    ]),
  );
});
