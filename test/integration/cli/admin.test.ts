import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli } from "../../support/cli/run-cli.js";
import { eventually } from "../../support/eventually.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

describe("splitcache admin", () => {
  let server: TestServer;
  beforeEach(async () => {
    server = await startTestServer();
  });
  afterEach(() => server.stop());

  /** Runs a command in an environment that names the sidecar. */
  const run = (...args: string[]) => {
    const env = {
      SPLITCACHE_ADDRESS: server.address,
      SPLITCACHE_ADMIN_LISTEN: server.adminAddress,
      SPLITCACHE_CLIENT_HOMESERVER: "example.org",
    };
    return runCli(args, { env });
  };
  const admin = (...args: string[]) => run("admin", ...args);
  const lines = (stdout: string) => stdout.trimEnd().split("\n");

  it("shows homeservers", async () => {
    await run("get", "$absent");
    await run("invalidate", "$one");
    const table = await admin("homeservers");
    expect(table).toMatchObject({ code: 0, stderr: "" });
    expect(lines(table.stdout)).toEqual([
      expect.stringMatching(/^HOMESERVER +ENTRIES +BYTES +HITS +MISSES +CHANGES +SUBSCRIBERS +POSITION$/),
      expect.stringMatching(/^example\.org +0 +0 +0 +1 +1 +0 +[0-9a-f]{32}:1$/),
    ]);
    const json = JSON.parse((await admin("homeservers", "-H", "example.org", "-o", "json")).stdout);
    expect(json).toMatchObject({
      homeserver: "example.org",
      misses: { absent: 1, behind: 0 },
      changes: { invalidated: 1 },
      subscribers: 0,
    });
    expect((await admin("homeservers", "-H", "other.example", "-o", "json")).stdout).toBe("");
  });

  it("shows subscribers and connections", async () => {
    const stream = server
      .newClient()
      .subscribe({ homeserver: "h", subscriber: "\u001b[2J", resumeAfter: undefined });
    stream.on("error", () => {}).resume();
    await eventually(async () => {
      const { stdout } = await admin("subscribers");
      expect(lines(stdout)).toEqual([
        expect.stringMatching(/^HOMESERVER +SUBSCRIBER +PEER +AGE +LAG +BATCHES +STATE +CURSOR$/),
        expect.stringMatching(
          /^h +\\u\{1b\}\[2J +127\.0\.0\.1 +[\d.]+ m?s +0 +0 +waiting for change +[0-9a-f]{32}:0$/,
        ),
      ]);
    });
    const json = JSON.parse((await admin("subscribers", "-o", "json")).stdout);
    expect(json).toMatchObject({ homeserver: "h", lag: 0, state: "waiting for change" });
    const { stdout } = await admin("connections");
    expect(stdout).toMatch(/^LISTENER +PEER +AGE +CALLS\n/);
    expect(stdout).toMatch(/\ngrpc +127\.0\.0\.1:\d+ +[\d.]+ m?s +1\n/);
    expect(stdout).toMatch(/\nadmin +127\.0\.0\.1:\d+ +[\d.]+ m?s +1\n/);
  });

  it("shows and sets the log level", async () => {
    expect((await admin("log-level")).stdout).toBe("debug\n");
    expect((await admin("log-level", "warn")).stdout).toBe("warn (before: debug)\n");
    expect((await admin("log-level", "-o", "json")).stdout).toBe('{"level":"warn"}\n');
    expect(await admin("log-level", "trace")).toMatchObject({
      code: 2,
      stderr: "splitcache: level trace: expected one of debug, info, warn, error, fatal, silent\n",
    });
  });

  it("drains and takes back", async () => {
    const { code, stdout } = await admin("drain");
    expect([code, stdout]).toEqual([0, "calls         0\nread streams  0\nsubscribers   0\n"]);
    expect((await run("health")).stdout).toBe("NOT_SERVING\n");
    expect((await run("get")).code).toBe(4);
    expect((await admin("undrain")).stdout).toBe("in service\n");
    expect((await run("health")).stdout).toBe("SERVING\n");
  });

  it("shows no members with the memory log", async () => {
    expect(lines((await admin("members")).stdout)).toHaveLength(1);
    expect((await admin("positions", "-o", "json")).stdout).toBe("");
  });

  it("reports a gRPC listener that does not implement the method", async () => {
    const { code, stderr } = await admin("members", "--address", server.address);
    expect(code).toBe(1);
    expect(stderr).toContain(`${server.address} does not implement this method`);
  });

  it("refuses an invalid address of the environment", async () => {
    const { code, stderr } = await runCli(["admin", "drain"], { env: { SPLITCACHE_ADMIN_ADDRESS: "here" } });
    expect(code).toBe(2);
    expect(stderr).toMatch(/^splitcache: SPLITCACHE_ADMIN_ADDRESS=here: expected host:port or \[ipv6\]:port/);
  });
});
