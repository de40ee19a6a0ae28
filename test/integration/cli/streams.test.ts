import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parseMetrics } from "../../../src/cli/io/metrics-text.js";
import { eventually } from "../../support/eventually.js";
import { buildProgram, type Program } from "../../support/program/build-program.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

/** The streams, signals and timers of the process of a client command. */

const FULL_DISK = "/dev/full";
/** Collects garbage all the time. */
const COLLECTOR = `data:text/javascript,${encodeURIComponent(`
  import { setFlagsFromString } from "node:v8";
  import { runInNewContext } from "node:vm";
  setFlagsFromString("--expose-gc");
  setInterval(runInNewContext("gc"), 5).unref();
`)}`;

let program: Program;
let server: TestServer;
let folder: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  program = await buildProgram();
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

afterAll(async () => {
  await program.remove();
  await server.stop();
  await rm(folder, { recursive: true });
});

interface StartOptions {
  readonly stdin?: "pipe" | "ignore";
  readonly stdout?: "pipe" | number;
  readonly node?: readonly string[];
}

function start(args: readonly string[], { stdin = "ignore", stdout = "pipe", node = [] }: StartOptions = {}) {
  const env = { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_CLIENT_HOMESERVER: "example.org" };
  const command = [...node, join(program.dist, "main.js"), ...args];
  const child = spawn(process.execPath, command, { env, stdio: [stdin, stdout, "pipe"] });
  children.push(child);
  let stderr = "";
  child.stderr?.on("data", (text: Buffer) => {
    stderr += text;
  });
  const end = once(child, "close").then(([code, signal]) => ({ code, signal, stderr }));
  return { child, end };
}

describe("an interrupted client command", () => {
  const ONE = ["--event-id", "$one", "--room", "!room", "--room-version", "10"];

  it.each([
    ["lines", ["put"]],
    ["an event", ["put", "-", ...ONE]],
  ])("ends while it reads %s from standard input", async (_what, args) => {
    const before = await positionsAsked();
    const { child, end } = start(args, { stdin: "pipe" });
    child.stdin?.write("{");
    // It has asked for the position, so it reads now.
    await eventually(async () => expect(await positionsAsked()).toBeGreaterThan(before));
    child.kill("SIGINT");
    expect(await end).toEqual({ code: 130, signal: null, stderr: "splitcache: interrupted\n" });
  });
});

async function positionsAsked(): Promise<number> {
  const page = await (await fetch(`${server.httpUrl}/metrics`)).text();
  const isAnswered = (labels: ReadonlyMap<string, string>) => labels.get("grpc_method") === "GetEvents";
  const counts = parseMetrics(page).filter(
    ({ name, labels }) => name === "grpc_server_handled_total" && isAnswered(labels),
  );
  return counts.reduce((sum, { value }) => sum + value, 0);
}

describe("standard output that cannot be written", () => {
  it
    .runIf(existsSync(FULL_DISK))
    .each([["get"], ["get", "-o", "json"], ["--help"], ["watch"], ["serve", "--print-config"]])(
    "has its own exit code: %s",
    async (...args) => {
      const { end } = start(args, { stdout: openSync(FULL_DISK, "w") });
      expect(await end).toEqual({
        code: 6,
        signal: null,
        stderr: expect.stringMatching(/^splitcache: standard output cannot be written: ENOSPC: .*\n$/),
      });
    },
  );

  it("ends a command quietly, as SIGPIPE would, when its reader has ended", async () => {
    const { child, end } = start(["watch"]);
    child.stdout?.destroy();
    expect(await end).toEqual({ code: 128 + 13, signal: null, stderr: "" });
  });
});

describe("a time limit, while garbage is collected", () => {
  const node = ["--import", COLLECTOR];
  const silent: Server = createServer((socket) => sockets.push(socket));
  const sockets: Socket[] = [];

  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it("ends watch --for", async () => {
    const { child, end } = start(["watch", "--for", "300ms"], { node });
    child.stdout?.resume();
    expect(await end).toMatchObject({ code: 0, stderr: expect.stringMatching(/^0 notices; /) });
  });

  it("ends stats --timeout", async () => {
    await once(silent.listen(0, "127.0.0.1"), "listening");
    const http = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { end } = start(["stats", "--http", http, "--timeout", "300ms"], { node });
    expect(await end).toEqual({
      code: 4,
      signal: null,
      stderr: `splitcache: http://${http}/metrics did not answer in time\n`,
    });
  });
});
