import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { startTestServer, type TestServer } from "../server/start-server.js";
import { type CliRunOptions, runCli } from "./run-cli.js";

export const EVENT = { event_id: "$one", room_id: "!room", room_version: "10" };
export const BODY = '{"type":"m.room.message","content":{"body":"hello"},"room_id":"!room"}';

/** A sidecar and a folder for each test of a suite, and commands in an environment that names the sidecar. */
export function useCliSidecar() {
  let server: TestServer;
  let dir: string;

  beforeEach(async () => {
    server = await startTestServer();
    dir = await mkdtemp(join(tmpdir(), "splitcache-cli-"));
  });

  afterEach(async () => {
    await server.stop();
    await rm(dir, { recursive: true });
  });

  function run(args: string[], options: CliRunOptions = {}) {
    const env = { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_CLIENT_HOMESERVER: "example.org" };
    return runCli(args, { env, ...options });
  }

  function put(...events: object[]) {
    return run(["put"], { stdin: events.map((event) => JSON.stringify(event)).join("\n") });
  }

  async function getJson(...args: string[]) {
    const { stdout, code } = await run(["get", "-o", "json", ...args]);
    expect(code).toBe(0);
    return JSON.parse(stdout);
  }

  return {
    run,
    put,
    getJson,
    get server() {
      return server;
    },
    get dir() {
      return dir;
    },
  };
}
