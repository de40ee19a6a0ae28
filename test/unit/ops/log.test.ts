import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Epoch, Homeserver, LeaseToken, Writer } from "../../../src/core/types.js";
import { createLog, redisLogTo, storeLogTo } from "../../../src/ops/log.js";
import { reportStart } from "../../../src/ops/start-report.js";
import { readVersion } from "../../../src/ops/version.js";

function logTo(level: string) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level, to: { write: (line) => void lines.push(JSON.parse(line)) } });
  return { log, lines };
}

it("writes one JSON object a line, with its level in words and an ISO time", () => {
  const { log, lines } = logTo("info");
  log.warn("careful", { count: 3 });
  expect(lines).toEqual([
    { level: "warn", time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), count: 3, msg: "careful" },
  ]);
});

it("writes nothing below its level", () => {
  const { log, lines } = logTo("warn");
  log.debug("no");
  log.info("no");
  log.error("yes", { err: new Error("why") });
  expect(lines).toMatchObject([{ level: "error", msg: "yes", err: { message: "why" } }]);
});

it("names the writer whose lease lapsed, and the token that releases it", () => {
  const { log, lines } = logTo("info");
  const storeLog = storeLogTo(log, 10);
  storeLog.leaseLapsed("hs" as Homeserver, "persister-1" as Writer, "ab12" as LeaseToken);
  storeLog.leaseReplaced("hs" as Homeserver, "persister-2" as Writer);
  storeLog.epochStarted("hs" as Homeserver, "00ff" as Epoch, "suspended");
  storeLog.homeserverForgotten("hs" as Homeserver);
  expect(lines).toMatchObject([
    { level: "warn", homeserver: "hs", writer: "persister-1", leaseToken: "ab12" },
    { level: "warn", homeserver: "hs", writer: "persister-2" },
    { level: "info", homeserver: "hs", epoch: "00ff", reason: "suspended" },
    { level: "info", homeserver: "hs" },
  ]);
});

describe("what is said of Redis", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is said once more after 10 seconds, with how often, if it is said again and again", () => {
    const { log, lines } = logTo("info");
    const redisLog = redisLogTo(log);
    for (let time = 0; time < 100; time++) redisLog.trouble("denied", "no connection to r:1: WRONGPASS");
    const line = { level: "warn", kind: "denied", reason: "no connection to r:1: WRONGPASS" };
    expect(lines).toMatchObject([line]);
    vi.advanceTimersByTime(10_000);
    expect(lines).toMatchObject([line, { ...line, again: 99 }]);
    redisLog.trouble("denied", "no connection to r:1: WRONGPASS");
    expect(lines).toHaveLength(3);
  });

  it("is 5 lines of a kind in 10 seconds, however many are different, and how many were left out", () => {
    const { log, lines } = logTo("info");
    const redisLog = redisLogTo(log);
    for (let n = 0; n < 5000; n++) {
      redisLog.trouble("other", `reason ${n}`);
      redisLog.connected("r:1");
      redisLog.disconnected("r:1", "no answer");
      redisLog.wellnessChanged(n % 2 === 1);
    }
    expect(lines.map(({ level, reason }) => `${level} ${reason ?? ""}`).slice(0, 4)).toEqual([
      "warn reason 0",
      "info ",
      "warn no answer",
      "warn ",
    ]);
    expect(lines).toHaveLength(15);
    vi.advanceTimersByTime(10_000);
    expect(lines.slice(15)).toMatchObject([
      { kind: "other", leftOut: 4995 },
      { kind: "connection", leftOut: 9995 },
      { kind: "wellness", leftOut: 4995 },
    ]);
  });
});

describe("a homeserver that causes lines in a loop", () => {
  const HS = "hs" as Homeserver;

  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("fills 20 lines in 10 seconds, and one that says how many were left out", () => {
    const { log, lines } = logTo("info");
    const storeLog = storeLogTo(log, 10);
    for (let call = 0; call < 100; call++) {
      storeLog.leaseReplaced(HS, "w" as Writer);
      storeLog.epochStarted(HS, "00" as Epoch, "suspended");
      storeLog.epochStarted(HS, "01" as Epoch, "resumed");
    }
    storeLog.homeserverForgotten(HS);
    expect(lines).toHaveLength(20);
    vi.advanceTimersByTime(10_000);
    expect(lines.slice(20)).toMatchObject([{ level: "warn", homeserver: "hs", leftOut: 281 }]);
  });

  it("hides neither the lines of others nor the token of a lapsed lease", () => {
    const { log, lines } = logTo("info");
    const storeLog = storeLogTo(log, 10);
    for (let call = 0; call < 100; call++) storeLog.leaseReplaced(HS, "w" as Writer);
    storeLog.homeserverForgotten("other" as Homeserver);
    storeLog.leaseLapsed(HS, "w" as Writer, "ab12" as LeaseToken);
    expect(lines.slice(20)).toMatchObject([{ homeserver: "other" }, { leaseToken: "ab12" }]);
  });
});

const MIB = 2 ** 20;
const REPORT = {
  version: "1.2.3",
  nodeVersion: "v24",
  pid: 7,
  addresses: [{ kind: "unix", path: "/s" }],
  httpAddress: undefined,
  healthAddresses: [{ kind: "tcp", host: "0.0.0.0", port: 8080 }],
  redis: undefined,
  memoryBytes: 256 * MIB,
  heapLimitBytes: 1000 * MIB,
  heapBytesMax: 600 * MIB,
  connectionsMax: 4096,
} as const;

it("reports the budget and its split at the start", () => {
  const { log, lines } = logTo("info");
  reportStart(log, REPORT);
  expect(lines).toMatchObject([
    {
      listen: ["unix:/s"],
      http: "off",
      eventsBytes: 160 * MIB,
      metadataBytes: 64 * MIB,
      logsBytes: 32 * MIB,
      connectionsMax: 4096,
    },
  ]);
});

it("reports at the start where metadata is, if not here", () => {
  const { log, lines } = logTo("info");
  reportStart(log, { ...REPORT, redis: "redis.example:6379" });
  expect(lines).toMatchObject([
    { store: "redis", redis: "redis.example:6379", eventsBytes: 224 * MIB, metadataBytes: 0 },
  ]);
});

it("warns at the start of a heap that is full of small events before the budget is", () => {
  const { log, lines } = logTo("warn");
  reportStart(log, { ...REPORT, heapBytesMax: 160 * MIB });
  expect(lines).toEqual([]);
  reportStart(log, { ...REPORT, heapBytesMax: 159 * MIB });
  expect(lines).toMatchObject([{ level: "warn", inHeapBytes: 160 * MIB, heapBytesMax: 159 * MIB }]);
});

it("warns at the start of each listener that others can reach, probes aside", () => {
  const { log, lines } = logTo("warn");
  const open = { kind: "tcp", host: "0.0.0.0", port: 1 } as const;
  reportStart(log, { ...REPORT, addresses: [open, { ...open, host: "::" }], httpAddress: open });
  expect(lines).toMatchObject([{ listen: "0.0.0.0:1" }, { listen: "[::]:1" }, { http: "0.0.0.0:1" }]);
});

it("knows the version of its package", () => {
  expect(readVersion()).toMatch(/^\d+\.\d+\.\d+/);
});
