import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import {
  type Alteration,
  alterProgram,
  BUILD_TIMEOUT_MS,
  buildProgram,
  type Program,
} from "../../support/program/build-program.js";
import { HOMESERVER, ROOM_ID, read } from "../../support/server/wire.js";
import { type OtlpReceiver, startOtlpReceiver } from "../../support/traces/otlp-receiver.js";
import { callWith, startTraced, type TracedProgram } from "../../support/traces/traced-program.js";

let program: Program;
let folder: string;
let receiver: OtlpReceiver;

beforeAll(async () => {
  program = await buildProgram();
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
  // OpenTelemetry's packages are CommonJS, also where a module imports them.
  const preload = `process.on("exit", () => require("node:fs").writeFileSync(
    process.env.LOADED, JSON.stringify(Object.keys(require.cache))));`;
  await writeFile(join(folder, "preload.cjs"), preload);
  receiver = await startOtlpReceiver();
}, BUILD_TIMEOUT_MS);

afterEach(() => receiver.clear());

afterAll(async () => {
  await receiver.stop();
  await rm(folder, { recursive: true });
  await program.remove();
});

async function start(env: Readonly<Record<string, string>>, ...args: string[]): Promise<TracedProgram> {
  const sidecar = await startTraced(program, env, ...args);
  onTestFinished(() => sidecar.kill());
  return sidecar;
}

/** Runs a sidecar with these variables for one call. Returns its log, and the packages of OpenTelemetry that it has loaded. */
async function runWith(env: Readonly<Record<string, string>>) {
  const loaded = join(folder, "loaded.json");
  const preload = `--require ${join(folder, "preload.cjs")}`;
  const { client, stop } = await start({ NODE_OPTIONS: preload, LOADED: loaded, ...env });
  await callWith(client, client.getEvents, read(["$a"]));
  const { code, stderr } = await stop();
  const paths = JSON.parse(await readFile(loaded, "utf8")) as string[];
  const packages = paths.flatMap((path) => /@opentelemetry\/([\w-]+)/.exec(path)?.[1] ?? []);
  return { code, log: stderr, packages: new Set(packages) };
}

/** prom-client loads the API, which does nothing without an SDK. */
const API_ALONE = new Set(["api"]);

describe("traces are off, and no module of the SDK is loaded,", () => {
  it.each<[string, (url: string) => Record<string, string>]>([
    ["by default", () => ({})],
    [
      "with settings but neither exporter nor endpoint",
      () => ({ OTEL_SERVICE_NAME: "a", OTEL_TRACES_SAMPLER: "always_on" }),
    ],
    [
      "with OTEL_TRACES_EXPORTER=none",
      (url) => ({ OTEL_TRACES_EXPORTER: "none", OTEL_EXPORTER_OTLP_ENDPOINT: url }),
    ],
    [
      "with OTEL_SDK_DISABLED=true",
      (url) => ({ OTEL_SDK_DISABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: url }),
    ],
    ["with an empty endpoint", () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: " " })],
  ])("%s", async (_, env) => {
    const { packages, code, log } = await runWith(env(receiver.url));
    expect({ packages, code }).toEqual({ packages: API_ALONE, code: 0 });
    expect(log).not.toContain("traces");
    expect(receiver.requests).toEqual([]);
  });
});

describe("traces are on", () => {
  it.each(["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])("with %s", async (name) => {
    const path = name.includes("TRACES") ? "/v1/traces" : "";
    const { packages, log } = await runWith({ [name]: receiver.url + path });
    expect(packages).toContain("sdk-trace");
    expect(packages).not.toContain("exporter-trace-otlp-grpc");
    expect(log).toContain("traces are on");
    expect(receiver.requests.map(({ path }) => path)).toEqual(["/v1/traces"]);
  });

  it("in the log with OTEL_TRACES_EXPORTER=console, without a connection", async () => {
    const { log, packages } = await runWith({ OTEL_TRACES_EXPORTER: "console" });
    const lines = log
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find(({ msg }) => msg === "span")).toMatchObject({
      level: "info",
      name: "splitcache.v1.EventCacheService/GetEvents",
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      "splitcache.misses": 1,
    });
    expect(packages).not.toContain("otlp-exporter-base");
  });
});

describe("a wrong value is reported and stops nothing:", () => {
  const on = { OTEL_TRACES_EXPORTER: "otlp" };
  it.each<[string, Record<string, string>, string]>([
    ["an unknown exporter", { OTEL_TRACES_EXPORTER: "zipkin" }, "OTEL_TRACES_EXPORTER has an unknown value"],
    ["an endpoint that is no URL", { OTEL_EXPORTER_OTLP_ENDPOINT: "collector" }, "must be a URL"],
    ["an endpoint of another scheme", { OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://x:pa55@y" }, "must be a URL"],
    ["an unknown protocol", { ...on, OTEL_EXPORTER_OTLP_PROTOCOL: "pigeon" }, "must be http/protobuf"],
  ])("%s turns the exporter off", async (_, env, problem) => {
    const { log, code } = await runWith(env);
    expect(log).toContain(problem);
    expect(log).not.toContain("traces are on");
    expect(log).not.toContain("pa55");
    expect(code).toBe(0);
  });

  it("a setting of the SDK is replaced by its default", async () => {
    const wrong = {
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "0",
      OTEL_BSP_MAX_QUEUE_SIZE: "1e12",
      OTEL_BSP_SCHEDULE_DELAY: "soon",
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "7",
      OTEL_RESOURCE_ATTRIBUTES: "pod",
      OTEL_EXPORTER_OTLP_TIMEOUT: "-1",
      OTEL_EXPORTER_OTLP_COMPRESSION: "zip",
    };
    const { log, code } = await runWith({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...wrong });
    for (const name of Object.keys(wrong)) {
      // Of these two the SDK names the second.
      if (name !== "OTEL_TRACES_SAMPLER") expect(log).toContain(name);
    }
    expect(code).toBe(0);
    expect(receiver.requests).toHaveLength(1);
  });
});

describe("an SDK that cannot start leaves the sidecar serving without traces, and the log says so:", () => {
  const failing = "const { logger } = deps;";
  it.each<[string, Alteration, RegExp]>([
    [
      "it fails",
      ["telemetry/traces/sdk.js", failing, `${failing} await null; throw new Error("no SDK today");`],
      /no SDK today.*traces are off: the OpenTelemetry SDK could not be started/,
    ],
    [
      "it is not installed",
      ["telemetry/traces/sdk.js", '"@opentelemetry/sdk-trace-base"', '"@opentelemetry/absent"'],
      /traces are off: the OpenTelemetry SDK is not installed; install optional dependencies too/,
    ],
  ])("%s", async (_, alteration, problem) => {
    const altered = await alterProgram(program, [alteration]);
    onTestFinished(() => altered.remove());
    const sidecar = await startTraced(altered, { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
    onTestFinished(() => sidecar.kill());
    const { missingEventIds } = await callWith(sidecar.client, sidecar.client.getEvents, read(["$a"]));
    expect(missingEventIds).toEqual(["$a"]);
    const { code, stderr } = await sidecar.stop();
    expect(stderr).toMatch(problem);
    expect(stderr).not.toContain("traces are on");
    expect(code).toBe(0);
    expect(receiver.requests).toEqual([]);
  });
});

it("traces name rooms and events with --trace-ids", async () => {
  const env = {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces`,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
  };
  const { client, stop } = await start(env, "--trace-ids");
  const ids = Array.from({ length: 20 }, (_, at) => `$id${at}`);
  await callWith(client, client.getEvents, read(ids));
  await callWith(client, client.purgeRoom, { homeserver: HOMESERVER, roomId: ROOM_ID });
  await stop();
  const [reading, purging] = receiver.spans();
  expect(reading?.attributes["splitcache.event_ids"]).toEqual(ids.slice(0, 16));
  expect(purging?.attributes["splitcache.room_ids"]).toEqual([ROOM_ID]);
});
