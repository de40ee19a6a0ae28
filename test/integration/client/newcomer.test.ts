import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { PostgresServer, SUPERUSER } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { BUILD_TIMEOUT_MS } from "../../support/program/build-program.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PROGRAM = join(ROOT, "clients/node/examples/newcomer.mjs");

interface Newcomer {
  readonly output: () => string;
  say(line: string): void;
  /** Ends its input, and returns its exit code. */
  end(): Promise<number | null>;
}

describe.skipIf(!hasPostgres())("the newcomer's program", () => {
  let postgres: PostgresServer;
  let server: TestServer;
  let folder: string;
  const running = new Set<ChildProcessByStdio<Writable, Readable, Readable>>();

  beforeAll(async () => {
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    const args = [compiler, "-p", "clients/node/tsconfig.json", "--noCheck"];
    const [started] = await Promise.all([
      PostgresServer.start(),
      promisify(execFile)(process.execPath, args, { cwd: ROOT }),
    ]);
    postgres = started;
  }, BUILD_TIMEOUT_MS);

  afterAll(() => postgres.stop());

  beforeEach(async () => {
    server = await startTestServer();
    folder = await mkdtemp(join(tmpdir(), "splitcache-newcomer-"));
  });

  afterEach(async () => {
    for (const child of running) child.kill("SIGKILL");
    running.clear();
    await server.stop();
    await rm(folder, { recursive: true });
  });

  function start(): Newcomer {
    const env = { DATABASE_URL: `postgres://${SUPERUSER}@127.0.0.1:${postgres.port}/postgres` };
    const child = spawn(process.execPath, [PROGRAM, server.address], { cwd: folder, env, stdio: "pipe" });
    running.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text: Buffer) => {
        output += text;
      });
    return {
      output: () => output,
      say: (line) => child.stdin.write(`${line}\n`),
      end: async () => {
        child.stdin.end();
        const [code] = await once(child, "exit");
        running.delete(child);
        return code;
      },
    };
  }

  it("reads through, writes, follows, and continues after a restart", async () => {
    const first = start();
    await eventually(() => expect(first.output()).toContain("ready"));
    first.say("write $a one two");
    await eventually(() => expect(first.output()).toContain("written and visible"));
    await eventually(() => expect(first.output()).toContain("invalidated $a"));
    first.say("read $a");
    await eventually(() => expect(first.output()).toContain('read {"content":{"body":"one two"}}'));
    expect(await first.end()).toBe(0);

    const other = start();
    await eventually(() => expect(other.output()).toContain("ready"));
    other.say("read $a");
    await eventually(() => expect(other.output()).toContain("one two"));
    expect(other.output()).not.toContain("invalidated");
    expect(await other.end()).toBe(0);
  });
});
