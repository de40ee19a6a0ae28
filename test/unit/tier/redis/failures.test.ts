import { ErrorReply, SocketTimeoutError } from "@redis/client";
import { describe, expect, it } from "vitest";
import { reportTier } from "../../../../src/telemetry/backend-reports.js";
import { Failures, failureOf, TierFailure } from "../../../../src/tier/redis/failures.js";
import { EPISODE_MS } from "../../../../src/tier/redis/limits.js";

describe("failures of the tier", () => {
  it.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", "full"],
    ["MISCONF Redis is configured to save RDB snapshots", "full"],
    ["READONLY You can't write against a read only replica.", "read_only"],
    ["LOADING Redis is loading the dataset in memory", "loading"],
    ["MASTERDOWN Link with MASTER is down", "loading"],
    ["MOVED 3999 127.0.0.1:6381", "moving"],
    ["ASK 3999 127.0.0.1:6381", "moving"],
    ["CLUSTERDOWN Hash slot not served", "moving"],
    ["NOAUTH Authentication required.", "denied"],
    ["NOPERM this user has no permissions to run the 'set' command", "denied"],
    ["WRONGPASS invalid username-password pair", "denied"],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "wrong_type"],
    ["BUSY Redis is busy running a script", "timeout"],
    ["ERR unknown command 'MGET'", "other"],
  ])("have a cause: %s", (reply, cause) => {
    expect(failureOf(new ErrorReply(reply)).kind).toBe(cause);
  });

  it("that no server replied are about the connection", () => {
    expect(failureOf(new Error("connect ECONNREFUSED")).kind).toBe("disconnected");
    expect(failureOf(new SocketTimeoutError(1)).kind).toBe("timeout");
    expect(failureOf(new TierFailure("overload", "much")).kind).toBe("overload");
    expect(failureOf("obseve client error: text").kind).toBe("disconnected");
  });

  it("are counted each, and reported once an episode and cause, with what to do", () => {
    let nowMs = 0;
    const lines: unknown[] = [];
    const write = (message: string, fields = {}) => lines.push({ message, ...fields });
    const failures = new Failures(reportTier({ info: write, warn: write }), () => nowMs);
    for (let n = 0; n < 100; n++) {
      nowMs += EPISODE_MS / 2;
      failures.note("full", "OOM");
    }
    failures.note("forged", "an entry");
    nowMs += EPISODE_MS;
    failures.note("full", "OOM");
    expect(failures.counts).toMatchObject({ full: 101, forged: 1, timeout: 0 });
    const full = { cause: "full", reason: "OOM", remedy: expect.stringContaining("allkeys-lru") };
    expect(lines).toEqual([
      expect.objectContaining(full),
      expect.objectContaining({ cause: "forged" }),
      expect.objectContaining(full),
    ]);
  });
});
