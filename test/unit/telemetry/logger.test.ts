import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LogLevel } from "../../../src/config/log-levels.js";
import type { Epoch, Homeserver } from "../../../src/core/model/types.js";
import { readVersion } from "../../../src/process/version.js";
import { createLogger, reportStore } from "../../../src/telemetry/logger.js";
import { reportStart } from "../../../src/telemetry/start-report.js";

function logTo(level: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({ level, to: { write: (line) => void lines.push(JSON.parse(line)) } });
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

it("writes no secret of a URL, in a field, in an error or in a fatal message", () => {
  const { log, lines } = logTo("info");
  const cause = Object.assign(new Error("connect postgres://u:hunter2@db"), { url: "redis://:hunter2@r" });
  log.warn("lost", { url: "redis://u:hunter2@r", urls: ["redis://u:hunter2@r"], count: 1 });
  log.error("a call failed", { err: new Error("no redis://u:hunter2@r", { cause }) });
  log.fatal("cannot use redis://u:hunter2@r");
  expect(JSON.stringify(lines)).not.toContain("hunter2");
  expect(lines).toMatchObject([
    { url: "redis://…@r", urls: ["redis://…@r"], count: 1 },
    { err: { type: "Error", message: "no redis://…@r", cause: { message: "connect postgres://…@db" } } },
    { msg: "cannot use redis://…@r" },
  ]);
});

describe("a line that a client causes in a loop", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is written 100 times in 10 seconds, then the number of suppressed lines; other messages are still written", () => {
    const { log, lines } = logTo("debug");
    for (let call = 0; call < 1000; call++) {
      log.debug("a subscriber connected", { call });
      log.error("a call failed", { call });
    }
    log.info("stopping");
    expect(lines).toHaveLength(201);
    vi.advanceTimersByTime(10_000);
    expect(lines.slice(201)).toMatchObject([
      { level: "warn", message: "a subscriber connected", suppressed: 900 },
      { level: "warn", message: "a call failed", suppressed: 900 },
    ]);
    log.debug("a subscriber connected", { call: 1000 });
    expect(lines.at(-1)).toMatchObject({ call: 1000 });
  });

  it("counts for nothing below the level", () => {
    const { log } = logTo("info");
    for (let call = 0; call < 1000; call++) log.debug("a subscriber connected");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not keep a fatal line from being written", () => {
    const { log, lines } = logTo("info");
    for (let call = 0; call < 150; call++) log.fatal("unexpected failure");
    expect(lines).toHaveLength(150);
  });
});

it("logs the restart of a homeserver's log, and a homeserver that is forgotten", () => {
  const { log, lines } = logTo("info");
  const storeLog = reportStore(log, 10);
  storeLog.logRestarted("hs" as Homeserver, "00ff" as Epoch, "database");
  storeLog.homeserverForgotten("hs" as Homeserver);
  expect(lines).toMatchObject([
    { level: "info", homeserver: "hs", epoch: "00ff", reason: "database" },
    { level: "info", homeserver: "hs" },
  ]);
});

describe("a homeserver that causes lines in a loop", () => {
  const HS = "hs" as Homeserver;

  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("writes 20 lines in 10 seconds, then the number of suppressed lines", () => {
    const { log, lines } = logTo("info");
    const storeLog = reportStore(log, 10);
    for (let call = 0; call < 100; call++) {
      storeLog.logRestarted(HS, "00" as Epoch, "asked");
      storeLog.logRestarted(HS, "01" as Epoch, "asked");
    }
    storeLog.homeserverForgotten(HS);
    expect(lines).toHaveLength(20);
    vi.advanceTimersByTime(10_000);
    expect(lines.slice(20)).toMatchObject([{ level: "warn", homeserver: "hs", suppressed: 181 }]);
  });

  it("hides no lines of others", () => {
    const { log, lines } = logTo("info");
    const storeLog = reportStore(log, 10);
    for (let call = 0; call < 100; call++) storeLog.logRestarted(HS, "00" as Epoch, "asked");
    storeLog.homeserverForgotten("other" as Homeserver);
    expect(lines.slice(20)).toMatchObject([{ homeserver: "other" }]);
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
  adminAddresses: [{ kind: "unix", path: "/admin" }],
  logUrl: "memory",
  tierUrl: "none",
  memoryBytes: 256 * MIB,
  heapLimitBytes: 1000 * MIB,
  heapBytesMax: 600 * MIB,
  connectionsMax: 4096,
  security: { usesTls: false, isAuthenticated: false },
} as const;

it("reports the budget and its split at the start", () => {
  const { log, lines } = logTo("info");
  reportStart(log, REPORT);
  expect(lines).toMatchObject([
    {
      listen: ["unix:/s"],
      http: "off",
      log: "memory",
      tier: "none",
      eventsBytes: 160 * MIB,
      metadataBytes: 64 * MIB,
      logsBytes: 32 * MIB,
      connectionsMax: 4096,
    },
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
  lines.length = 0;
  const security = { usesTls: false, isAuthenticated: true };
  reportStart(log, { ...REPORT, addresses: [open], httpAddress: open, security });
  expect(lines).toMatchObject([{ listen: "0.0.0.0:1", msg: expect.stringContaining("cleartext") }]);
  lines.length = 0;
  reportStart(log, { ...REPORT, addresses: [open], security: { usesTls: true, isAuthenticated: true } });
  expect(lines).toEqual([]);
});

it("knows the version of its package", () => {
  expect(readVersion()).toMatch(/^\d+\.\d+\.\d+/);
});
