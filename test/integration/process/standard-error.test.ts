import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { buildProgram, type Program } from "../../support/program/build-program.js";

let program: Program;
let folder: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  program = await buildProgram();
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

afterAll(async () => {
  await program.remove();
  await rm(folder, { recursive: true });
});

/** Runs `serve` with this file as its standard error. */
function serve(stderr: number | "pipe", ...args: string[]): ChildProcess {
  const command = [join(program.dist, "main.js"), "serve", "--log-level", "debug", ...args];
  const child = spawn(process.execPath, command, { env: {}, stdio: ["ignore", "ignore", stderr] });
  children.push(child);
  return child;
}

/** A pipe that is read when the test says so; the child has the writing end. */
class Pipe {
  readonly end: number;
  readonly #both: number;
  #isOpen = true;

  constructor(name: string) {
    const path = join(folder, name);
    execFileSync("mkfifo", [path]);
    this.#both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    this.end = openSync(path, constants.O_WRONLY);
  }

  firstLine(): Promise<Record<string, unknown>> {
    let text = "";
    return eventually(() => {
      const bytes = Buffer.alloc(4096);
      text += bytes.subarray(0, readSync(this.#both, bytes)).toString();
      return JSON.parse(text.slice(0, text.indexOf("\n")));
    });
  }

  fill(): void {
    const bytes = Buffer.alloc(4096, "x");
    expect(() => {
      for (;;) writeSync(this.#both, bytes);
    }).toThrow("EAGAIN");
  }

  /** The child keeps the writing end. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#both);
    closeSync(this.end);
  }
}

async function callFor(address: string, homeservers: readonly string[]): Promise<void> {
  const client = new EventCacheServiceClient(address, credentials.createInsecure());
  try {
    for (const homeserver of homeservers) {
      await new Promise<void>((resolve, reject) => {
        const request = { homeserver, eventIds: [], redactionView: 0 as const, minPosition: undefined };
        client.getEvents(request, (error) => (error ? reject(error) : resolve()));
      });
    }
  } finally {
    client.close();
  }
}

async function exitCode(child: ChildProcess): Promise<unknown> {
  child.kill("SIGTERM");
  const [code, signal] = await once(child, "exit");
  return code ?? signal;
}

const LISTEN = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];

describe("standard error that is a pipe", () => {
  it("blocks neither calls nor probes nor SIGTERM when its reader has stopped", async () => {
    const pipe = new Pipe("stopped");
    const child = serve(pipe.end, ...LISTEN);
    const { listen, http } = await pipe.firstLine();
    pipe.fill();
    // Each homeserver that is new is a line.
    await callFor(String(listen), ["a", "b", "c"]);
    expect((await fetch(`http://${http}/readyz`)).status).toBe(200);
    expect(await exitCode(child)).toBe(0);
    pipe.close();
  });

  it("loses lines when its reader has ended, and counts them", async () => {
    const pipe = new Pipe("gone");
    const child = serve(pipe.end, ...LISTEN);
    const { listen, http } = await pipe.firstLine();
    pipe.close();
    await callFor(String(listen), ["a", "b", "c"]);
    const metrics = await (await fetch(`http://${http}/metrics`)).text();
    expect(metrics).toMatch(/^splitcache_stderr_lines_dropped_total [3-9]$/m);
    expect(await exitCode(child)).toBe(0);
  });
});

it("runs and stops with standard error on a full disk", async () => {
  const full = openSync("/dev/full", "w");
  const address = `unix:${join(folder, "s")}`;
  const child = serve(full, "--listen", address, "--http", "off");
  closeSync(full);
  await eventually(async () => {
    expect((await program.run(["health", "--address", address])).code).toBe(0);
  });
  await callFor(address, ["a", "b", "c"]);
  expect(await exitCode(child)).toBe(0);
});

it.each(["pipe", "socket"])("does not wait for the reader of a %s", async (kind) => {
  const script = `
    import { standardErrorWriter } from ${JSON.stringify(join(program.dist, "process/standard-error.js"))};
    const write = standardErrorWriter();
    try { for (;;) write(Buffer.alloc(1000, "x")); } catch (error) { console.log(error.code); }`;
  const pipe = kind === "pipe" ? new Pipe("writer") : undefined;
  // Node.js makes a socket of what it calls a pipe. Nothing reads it.
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", pipe?.end ?? "pipe"],
  });
  children.push(child);
  expect(String((await once(child.stdout!, "data"))[0])).toBe("EAGAIN\n");
  pipe?.close();
});
