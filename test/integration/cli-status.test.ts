import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ExitCode } from "../../src/cli/exit-code.js";
import { freePort } from "../support/free-port.js";
import { type CliRunOptions, runCli } from "../support/run-cli.js";
import { startTestServer, type TestServer } from "../support/start-server.js";

const servers: TestServer[] = [];
const sockets: Server[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
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

describe("doctor", () => {
  async function findings(args: string[], server?: TestServer) {
    const run = server === undefined ? runCli : runAt.bind(undefined, server);
    const { code, stdout } = await run(["doctor", "-o", "json", ...args]);
    const found = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    return { code, found, results: Object.fromEntries(found.map(({ check, result }) => [check, result])) };
  }

  it("finds nothing wrong with a sidecar that serves", async () => {
    const server = await start();
    const { code, results } = await findings(["-H", "example.org"], server);
    expect(code).toBe(ExitCode.done);
    expect(results).toEqual({
      address: "ok",
      service: "ok",
      log: "ok",
      tier: "skipped",
      homeserver: "ok",
      latency: expect.stringMatching(/ok|warning/),
      // The sidecar of the test says that it is 0.0.0-test.
      version: "warning",
      clock: "ok",
    });
  });

  it("says what is wrong and what to do, for people", async () => {
    const { code, stdout } = await runCli(["doctor", "--address", `127.0.0.1:${await freePort()}`]);
    expect(code).toBe(ExitCode.unavailable);
    expect(stdout).toMatch(/^address +failed +127\.0\.0\.1:\d+: nothing listens there$/m);
    expect(stdout).toMatch(/^address: Start the sidecar/m);
  });

  it.each([
    ["unix:/nonexistent/splitcache.sock", "the socket does not exist"],
    ["no-such-host.invalid:50051", "the host name"],
  ])("names the fault of the address %s", async (address, problem) => {
    const { code, found } = await findings(["--address", address]);
    expect(code).toBe(ExitCode.unavailable);
    expect(found).toEqual([
      expect.objectContaining({
        check: "address",
        result: "failed",
        message: expect.stringContaining(problem),
      }),
    ]);
  });

  it("recognises the HTTP port", async () => {
    const server = await start();
    const { code, found } = await findings(["--address", server.httpUrl.slice("http://".length)]);
    expect(code).toBe(ExitCode.failure);
    expect(found.at(-1)).toMatchObject({ check: "protocol", message: "this is an HTTP listener, not gRPC" });
  });

  it("recognises a listener that answers nothing", async () => {
    const silent = createServer((socket) => socket.on("error", () => {}));
    sockets.push(silent);
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const { found } = await findings(["--address", `127.0.0.1:${port}`, "--timeout", "300ms"]);
    expect(found.at(-1)).toMatchObject({ check: "protocol", result: "failed" });
  });

  it("recognises a listener that expects TLS", async () => {
    // What an OpenSSL server answers to bytes that are not TLS: an alert.
    const alert = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(Buffer.from([0x15, 0x03, 0x01, 0, 2, 2, 70])));
    });
    sockets.push(alert);
    alert.listen(0, "127.0.0.1");
    await once(alert, "listening");
    const { port } = alert.address() as AddressInfo;
    const { found } = await findings(["--address", `127.0.0.1:${port}`, "--timeout", "1s"]);
    expect(found.at(-1)).toMatchObject({ check: "tls", message: "the listener expects TLS" });
  });

  it("reports a homeserver that the sidecar does not serve", async () => {
    const server = await start({ homeservers: ["example.org" as never] });
    const { code, results } = await findings(["-H", "example.com"], server);
    expect(code).toBe(ExitCode.failure);
    expect(results).toMatchObject({ service: "ok", homeserver: "failed" });
  });
});
