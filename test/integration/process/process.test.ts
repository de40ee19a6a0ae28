import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { buildProgram, type Program, type RunningProgram } from "../../support/program/build-program.js";

let program: Program;
let folder: string;
const running: RunningProgram[] = [];

beforeAll(async () => {
  program = await buildProgram();
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
});

afterEach(async () => {
  for (const process of running) process.kill("SIGKILL");
  await Promise.all(running.splice(0).map(({ end }) => end));
});

afterAll(async () => {
  await program.remove();
  await rm(folder, { recursive: true });
});

const REFLECTION_PATH = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/** `list_services: "*"` in its wire form. */
const LIST_SERVICES = Buffer.from([0x3a, 1, 0x2a]);
const asIs = (bytes: Buffer): Buffer => bytes;
const ANY_PORT = "127.0.0.1:0";

interface StartLine {
  readonly pid: number;
  readonly version: string;
  readonly nodeVersion: string;
  readonly listen: string[];
  readonly memoryBytes: number;
  readonly heapLimitBytes: number;
}

async function serve(
  ...args: string[]
): Promise<{ process: RunningProgram; line: StartLine; address: string }> {
  const process = program.start(["serve", "--http", "off", ...args]);
  running.push(process);
  const line: StartLine = JSON.parse(await process.logLine("splitcache serves"));
  return { process, line, address: line.listen[0] ?? "" };
}

describe("serve", () => {
  it("says in its first line what runs, where and with how much memory", async () => {
    const { process: started, line } = await serve("--listen", ANY_PORT, "--memory", "64MiB");
    expect(line).toMatchObject({ pid: started.pid, nodeVersion: process.version, memoryBytes: 2 ** 26 });
    expect(line.listen).toEqual([expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/)]);
    expect(line.heapLimitBytes).toBeGreaterThan(2 ** 26);
    expect(line.version).toMatch(/^\d+\.\d+\.\d+/);
  });

  it.each(["SIGTERM", "SIGINT"] as const)(
    "ends subscriptions in good order and exits with 0 at %s",
    async (signal) => {
      const { process, address } = await serve("--listen", ANY_PORT);
      const client = new EventCacheServiceClient(address, credentials.createInsecure());
      const stream = client.subscribe({ homeserver: "h", resumeAfter: undefined, subscriber: "" });
      const ended = once(stream, "error");
      await once(stream, "data");
      process.kill(signal);
      expect(await ended).toMatchObject([{ code: status.UNAVAILABLE }]);
      expect((await process.end).code).toBe(0);
      client.close();
    },
  );

  it("exits with 0 at SIGTERM while a client that speaks nothing is connected", async () => {
    const { process, address } = await serve("--listen", ANY_PORT);
    const socket = connect(Number(address.split(":")[1]), "127.0.0.1");
    await once(socket, "connect");
    const closed = once(socket.resume(), "close");
    process.kill("SIGTERM");
    expect((await process.end).code).toBe(0);
    await closed;
  });

  it("keeps running at SIGHUP, and reads certificates and clients again", async () => {
    const { process, address } = await serve("--listen", ANY_PORT);
    process.kill("SIGHUP");
    await process.logLine("SIGHUP: certificates and clients are read again");
    expect((await program.run(["health", "--address", address])).code).toBe(0);
    process.kill("SIGTERM");
    expect((await process.end).code).toBe(0);
  });

  it("exits at once at the second signal", async () => {
    const { process, address } = await serve("--listen", ANY_PORT, "--shutdown-timeout", "1h");
    const client = new EventCacheServiceClient(address, credentials.createInsecure());
    // A reflection stream that its client keeps open is a call in flight.
    const call = client.makeBidiStreamRequest(REFLECTION_PATH, asIs, asIs, new Metadata());
    call.on("error", () => {});
    call.write(LIST_SERVICES);
    await once(call, "data");
    process.kill("SIGTERM");
    await process.logLine("stopping");
    process.kill("SIGTERM");
    expect((await process.end).code).toBe(128 + 15);
    client.close();
  });

  it("says in one line that its port is taken, and exits with 1", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const bound = other.address();
    const port = typeof bound === "object" ? bound?.port : undefined;
    const { code, stderr } = await program.run(["serve", "--http", "off", "--listen", `127.0.0.1:${port}`]);
    other.close();
    expect(code).toBe(1);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(JSON.parse(stderr)).toMatchObject({
      level: "fatal",
      msg: `cannot listen on 127.0.0.1:${port}: the address is already in use`,
    });
  });

  it("replaces the socket of a killed process, but not a socket with a listener", async () => {
    const path = join(folder, "s");
    const { process: killed } = await serve("--listen", `unix:${path}`);
    const refused = await program.run(["serve", "--http", "off", "--listen", `unix:${path}`]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("another process listens there");
    killed.kill("SIGKILL");
    await killed.end;
    const { address } = await serve("--listen", `unix:${path}`);
    expect((await program.run(["health", "--address", address])).code).toBe(0);
  });

  it("reports all configuration errors together and exits with 2", async () => {
    const file = join(folder, "config.yaml");
    await writeFile(file, "lissen: 127.0.0.1:1\n");
    const env = { SPLITCACHE_MEMORY: "1KiB", SPLITCACHE_CONFIG: file };
    const { code, stderr, stdout } = await program.run(["serve", "--colour", "red"], env);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr.trimEnd().split("\n")).toEqual([
      expect.stringContaining(`lissen (${file}, line 1): is an unknown key`),
      expect.stringContaining("--colour: is an unknown flag"),
      expect.stringContaining("SPLITCACHE_MEMORY: "),
    ]);
  });

  it("says that the configuration file cannot be read", async () => {
    const { code, stderr } = await program.run(["serve", "--config", join(folder, "gone.yaml")]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/gone\.yaml: cannot be read: ENOENT/);
  });

  it("prints the configuration that results", async () => {
    const { code, stdout } = await program.run(["serve", "--print-config", "--memory", "64MiB"]);
    expect(code).toBe(0);
    expect(stdout).toContain("memory: 64MiB # --memory\n");
  });
});

it("prints its help and exits with 0", async () => {
  const { code, stdout } = await program.run(["serve", "--help"]);
  expect(code).toBe(0);
  expect(stdout).toContain("--health-listen <address>");
});

it("refuses a command that it does not know and exits with 2", async () => {
  const { code, stderr } = await program.run(["swerve"]);
  expect(code).toBe(2);
  expect(stderr).toContain("unknown command 'swerve'");
});
