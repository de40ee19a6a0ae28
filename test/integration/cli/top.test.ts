import { afterEach, describe, expect, it } from "vitest";
import { ExitCode } from "../../../src/cli/exit-code.js";
import { type CliRunOptions, runCli } from "../../support/cli/run-cli.js";
import { freePort } from "../../support/program/free-port.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const servers: TestServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(...given: Parameters<typeof startTestServer>): Promise<TestServer> {
  const server = await startTestServer(...given);
  servers.push(server);
  return server;
}

function runAt(server: TestServer, args: string[], options: CliRunOptions = {}) {
  const env = { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_HTTP: server.httpUrl.slice("http://".length) };
  return runCli(args, { env, ...options });
}

describe("top", () => {
  it("prints one object a sample", async () => {
    const server = await start({}, { statusIntervalMs: 50 });
    await runAt(server, ["get", "-H", "example.org", "$absent"]);
    const { code, stdout } = await runAt(server, ["top", "-o", "json", "-n", "20", "--interval", "20ms"]);
    const samples = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect([code, samples.length]).toEqual([ExitCode.done, 20]);
    expect(samples.at(-1)).toMatchObject({
      total: { hits: 0, misses: 1 },
      homeservers: [{ name: "example.org", misses: 1 }],
      log: { isUp: true, memberCount: null },
    });
  });

  it("prints plain text where there is no terminal, with names of clients escaped", async () => {
    const server = await start();
    await runAt(server, ["get", "-H", "a\u001b[2J", "$absent"]);
    const { code, stdout } = await runAt(server, ["top", "-n", "1"]);
    expect(code).toBe(ExitCode.done);
    expect(stdout).toMatch(/^splitcache 0\.0\.0-test on Node\.js .*, serving\n/);
    expect(stdout).toMatch(/^ {2}Hit rate +0\.0 % /m);
    expect(stdout).toMatch(/^ {2}a\\u\{1b\}\[2J +0\.0 % +0 +1 /m);
    expect(stdout).not.toContain("\u001b");
  });

  it("draws on the alternate screen of a terminal, inside its size, and leaves it when interrupted", async () => {
    const server = await start();
    const interrupt = new AbortController();
    const { code, stdout } = await runAt(server, ["top"], {
      terminal: { columns: 40, rows: 12 },
      signal: interrupt.signal,
      onStdout: (text) => {
        if (text.includes("READS AND CALLS")) interrupt.abort();
      },
    });
    expect(code).toBe(ExitCode.done);
    expect(stdout.startsWith("\u001b[?1049h\u001b[?25l\u001b[H")).toBe(true);
    expect(stdout.endsWith("\u001b[?25h\u001b[?1049l")).toBe(true);
    const lines = stdout.split("\u001b[H")[1]!.split("\u001b[K\n");
    expect(lines.length).toBeLessThanOrEqual(12);
    expect(Math.max(...lines.slice(0, -1).map((line) => line.length))).toBe(40);
  });

  it("exits with 4 when nothing answers", async () => {
    const { code, stderr } = await runCli(["top", "--http", `127.0.0.1:${await freePort()}`]);
    expect([code, stderr]).toEqual([ExitCode.unavailable, expect.stringContaining("ECONNREFUSED")]);
  });
});
