import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../../support/eventually.js";
import { BUILD_TIMEOUT_MS, buildProgram, type Program } from "../../support/program/build-program.js";
import { read } from "../../support/server/wire.js";
import { type OtlpReceiver, startOtlpReceiver } from "../../support/traces/otlp-receiver.js";
import { callWith, startTraced, type TracedProgram } from "../../support/traces/traced-program.js";

let program: Program;
let receiver: OtlpReceiver;

beforeAll(async () => {
  program = await buildProgram();
}, BUILD_TIMEOUT_MS);

beforeEach(async () => {
  receiver = await startOtlpReceiver();
});

afterEach(() => receiver.stop());

afterAll(() => program.remove());

const SPAN_NAME = "splitcache.v1.EventCacheService/GetEvents";

async function start(env: Readonly<Record<string, string>>, ...args: string[]): Promise<TracedProgram> {
  const sidecar = await startTraced(program, { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env }, ...args);
  onTestFinished(() => sidecar.kill());
  return sidecar;
}

function readOnce({ client }: TracedProgram): Promise<unknown> {
  return callWith(client, client.getEvents, read(["$a"]));
}

function lines(log: string, message: string): Record<string, unknown>[] {
  const parsed = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return parsed.filter(({ msg }) => msg === message);
}

describe("spans are exported", () => {
  it("as protobuf unless configured otherwise, with the configured headers, before the process ends", async () => {
    const sidecar = await start({
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20s3cret,x-tenant=a",
      OTEL_BSP_SCHEDULE_DELAY: "600000",
    });
    await readOnce(sidecar);
    expect(receiver.requests).toEqual([]);
    const { stderr, code } = await sidecar.stop();
    expect(code).toBe(0);
    expect(receiver.requests).toMatchObject([
      {
        path: "/v1/traces",
        headers: {
          "content-type": "application/x-protobuf",
          authorization: "Bearer s3cret",
          "x-tenant": "a",
        },
      },
    ]);
    expect(receiver.requests[0]?.body.includes(SPAN_NAME)).toBe(true);
    expect(stderr).not.toContain("s3cret");
  });

  it("over gRPC", async () => {
    const bodies: Buffer[] = [];
    const collector = new Server();
    const bytes = { serialize: (sent: Buffer) => sent, deserialize: (received: Buffer) => received };
    const path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    collector.register(
      path,
      (call: { request: Buffer }, callback: (error: null, reply: Buffer) => void) => {
        bodies.push(call.request);
        callback(null, Buffer.alloc(0));
      },
      bytes.serialize,
      bytes.deserialize,
      "unary",
    );
    const port = await new Promise<number>((resolve, reject) => {
      collector.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const sidecar = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    });
    await readOnce(sidecar);
    await sidecar.stop();
    expect(bodies.map((body) => body.includes(SPAN_NAME))).toEqual([true]);
    collector.forceShutdown();
  });
});

describe("a collector that hangs", () => {
  it.each([
    ["2 s", "10s", 2000],
    ["half a second if calls may not use more", "0s", 500],
  ])("holds up the end for %s at most", async (_, shutdownTimeout, limitMs) => {
    receiver.answer(undefined);
    // The SDK would wait longer than the test.
    const waits = { OTEL_EXPORTER_OTLP_TIMEOUT: "600000", OTEL_BSP_EXPORT_TIMEOUT: "600000" };
    const sidecar = await start(waits, "--shutdown-timeout", shutdownTimeout);
    await readOnce(sidecar);
    const { code, stderr } = await sidecar.stop();
    expect(code).toBe(0);
    const [line] = lines(stderr, "the last spans were not exported in time and are lost");
    expect(line?.["limitMs"]).toBeLessThanOrEqual(limitMs);
    expect(receiver.requests).toHaveLength(1);
  });

  it("fills a queue that is bounded, and holds up no call", async () => {
    receiver.answer(undefined);
    const sidecar = await start({
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_MAX_QUEUE_SIZE: "10",
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10",
      OTEL_BSP_SCHEDULE_DELAY: "20",
    });
    await readOnce(sidecar);
    await eventually(() => expect(receiver.requests).toHaveLength(1));
    for (let call = 0; call < 50; call++) await readOnce(sidecar);
    receiver.answer(200);
    await eventually(() => expect(receiver.spans()).toHaveLength(11));
    await readOnce(sidecar);
    const { stderr } = await sidecar.stop();
    expect(receiver.spans()).toHaveLength(12);
    expect(lines(stderr, "OpenTelemetry reports a problem")).toMatchObject([
      { problem: "Dropped 40 spans because maxQueueSize reached" },
    ]);
  });
});

describe("a collector that refuses", () => {
  it("costs one log line in a minute, with its answer's status alone", async () => {
    receiver.answer(400);
    const sidecar = await start({ OTEL_BSP_SCHEDULE_DELAY: "10" });
    for (let call = 1; call <= 4; call++) {
      await readOnce(sidecar);
      await eventually(() => expect(receiver.requests).toHaveLength(call));
    }
    const { stderr, code } = await sidecar.stop();
    expect(code).toBe(0);
    expect(lines(stderr, "spans could not be exported and are lost")).toMatchObject([
      { level: "warn", problem: "Bad Request" },
    ]);
  });

  it("or cannot be reached is a log line, and calls go on", async () => {
    await receiver.stop();
    const sidecar = await start({ OTEL_BSP_SCHEDULE_DELAY: "10", OTEL_EXPORTER_OTLP_TIMEOUT: "100" });
    await readOnce(sidecar);
    const line = await sidecar.logLine("spans could not be exported");
    expect(line["problem"]).toContain("ECONNREFUSED");
    await readOnce(sidecar);
    expect((await sidecar.stop()).code).toBe(0);
    receiver = await startOtlpReceiver();
  });

  it("or a header that cannot be sent ends nothing", async () => {
    const sidecar = await start({ OTEL_BSP_SCHEDULE_DELAY: "10", OTEL_EXPORTER_OTLP_HEADERS: "a=%0as3cret" });
    await readOnce(sidecar);
    await sidecar.logLine("spans could not be exported");
    await expect(readOnce(sidecar)).resolves.toMatchObject({ missingEventIds: ["$a"] });
    const { code, stderr } = await sidecar.stop();
    expect(code).toBe(0);
    expect(stderr).not.toContain("s3cret");
  });
});
