import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EventCacheServiceService } from "../../src/gen/splitcache/v1/event_cache_service.js";
import { startTestServer, type TestServer } from "../support/server/start-server.js";

/**
 * Whether real clients, which resolve every type, can use what reflection serves.
 * `install.sh` installs them; without them these tests are skipped, except in CI.
 */
const TOOLS = join(import.meta.dirname, ".tools");
const GRPCURL = join(TOOLS, "bin", "grpcurl");
const PYTHON = join(TOOLS, "venv", "bin", "python");
const METHODS = Object.values(EventCacheServiceService).map(({ path }) => path.split("/").at(-1) ?? "");
const SERVICES = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "splitcache.v1.EventCacheService",
];

const isInstalled = (file: string) => process.env["CI"] !== undefined || existsSync(file);
const run = promisify(execFile);

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server.stop());

describe("reflection, as grpcurl uses it", () => {
  const test = it.runIf(isInstalled(GRPCURL));

  const grpcurl = (...args: string[]) => grpcurlAt(server.address, ...args);

  async function grpcurlAt(address: string, ...args: string[]): Promise<string> {
    const flags = args.filter((arg, index) => arg.startsWith("-") || args[index - 1] === "-d");
    const words = args.filter((arg) => !flags.includes(arg));
    const all = ["-plaintext", "-max-time", "20", ...flags, address, ...words];
    return (await run(GRPCURL, all, { env: {} })).stdout;
  }

  test("lists the services", async () => {
    expect((await grpcurl("list")).trimEnd().split("\n")).toEqual(SERVICES);
  });

  test.each(SERVICES)("describes %s, and every message that its methods name", async (service) => {
    const text = await grpcurl("describe", service);
    if (service === SERVICES.at(-1)) for (const method of METHODS) expect(text).toContain(`rpc ${method} (`);
    const messages = [...text.matchAll(/ \.([\w.]+) \)/g)].map(([, name = ""]) => name);
    expect(messages.length).toBeGreaterThan(1);
    for (const message of new Set(messages)) {
      expect(await grpcurl("describe", message)).toContain(`${message} is a message:`);
    }
  });

  test("lists AdminService on its listener alone, describes it and calls it", async () => {
    const admin = (...args: string[]) => grpcurlAt(server.adminAddress, ...args);
    const service = "splitcache.admin.v1.AdminService";
    const services = [...SERVICES.slice(0, -1), service];
    expect((await admin("list")).trimEnd().split("\n")).toEqual(services);
    expect(await admin("describe", service)).toContain("rpc ListMembers (");
    expect(await admin("describe", "splitcache.admin.v1.Homeserver")).toContain(
      ".splitcache.v1.Position position",
    );
    const level = JSON.parse(await admin(`${service}/GetLogLevel`));
    expect(level).toEqual({ logLevel: "LOG_LEVEL_DEBUG" });
    const check = JSON.stringify({ service });
    const health = await admin("-d", check, "grpc.health.v1.Health/Check");
    expect(JSON.parse(health)).toEqual({ status: "SERVING" });
    const elsewhere = grpcurl("-d", check, "grpc.health.v1.Health/Check");
    await expect(elsewhere).rejects.toMatchObject({ stderr: expect.stringContaining("NotFound") });
  });

  test("describes a field whose type another file defines", async () => {
    expect(await grpcurl("describe", "splitcache.v1.Ready")).toContain(
      ".google.protobuf.Duration progress_interval",
    );
  });

  test("calls the cache and the health service", async () => {
    const request = JSON.stringify({ homeserver: "alpha.example", event_ids: ["$absent"] });
    const reply = await grpcurl("-d", request, "splitcache.v1.EventCacheService/GetEvents");
    expect(JSON.parse(reply)).toMatchObject({ missingEventIds: ["$absent"] });
    expect(JSON.parse(await grpcurl("grpc.health.v1.Health/Check"))).toEqual({ status: "SERVING" });
  });

  test("resolves the details of an error", async () => {
    const call = grpcurl("-d", "{}", "splitcache.v1.EventCacheService/PurgeRoom");
    await expect(call).rejects.toMatchObject({ stderr: expect.stringContaining('"field": "homeserver"') });
  });

  test("says that a symbol is not found", async () => {
    const stderr = expect.stringContaining("Symbol not found: splitcache.v1.Nothing");
    await expect(grpcurl("describe", "splitcache.v1.Nothing")).rejects.toMatchObject({ stderr });
  });
});

it.runIf(isInstalled(PYTHON))("fills Python's descriptor pool, which then makes a call", async () => {
  const { stdout } = await run(PYTHON, [join(import.meta.dirname, "reflection_client.py"), server.address]);
  const found = JSON.parse(stdout);
  expect(Object.keys(found.services)).toEqual(SERVICES);
  expect(found.services["splitcache.v1.EventCacheService"]).toEqual(METHODS.toSorted());
  expect(found.services["grpc.health.v1.Health"]).toEqual(["Check", "List", "Watch"]);
  expect(found.reply).toMatchObject({
    missingEventIds: ["$absent"],
    position: { epoch: expect.any(String) },
  });
  expect(found.enum).toContain("PUT_OUTCOME_FENCED");
  expect(found).toMatchObject({ type: "google.protobuf.Duration", absent: true });
});
