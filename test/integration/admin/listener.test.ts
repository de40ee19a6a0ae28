import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { AdminServiceClient } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { runCli } from "../../support/cli/run-cli.js";
import { eventually } from "../../support/eventually.js";
import { adminClientOf, callUnary } from "../../support/server/admin-client.js";
import { clients, positionOf, servers, start } from "../../support/server/admin-server.js";
import { startTestServer } from "../../support/server/start-server.js";

describe("the admin listener", () => {
  it("bounds the calls that run at once", async () => {
    const { server } = await start();
    const others = Array.from({ length: 8 }, () => halfOpenCall(server.adminAddress));
    await Promise.all(others.map(({ begun }) => begun));
    const late = adminClientOf(server.adminAddress);
    clients.push(late);
    const refused = callUnary(late, late.getLogLevel, {});
    const details = "8 AdminService calls are already running; try again later";
    await expect(refused).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED, details });
    for (const { cancel } of others) cancel();
    await eventually(() => callUnary(late, late.getLogLevel, {}));
  });

  it("has nothing of the cache, and the listeners of homeservers have nothing of it", async () => {
    const { server } = await start();
    const wrong = adminClientOf(server.address);
    clients.push(wrong);
    const unknown = { code: status.UNIMPLEMENTED };
    await expect(callUnary(wrong, wrong.getLogLevel, {})).rejects.toMatchObject(unknown);
    const probes = adminClientOf(server.healthAddress);
    clients.push(probes);
    await expect(callUnary(probes, probes.getLogLevel, {})).rejects.toMatchObject(unknown);
    const cache = new EventCacheServiceClient(server.adminAddress, credentials.createInsecure());
    clients.push(cache);
    await expect(positionOf(cache, "alpha.example")).rejects.toMatchObject(unknown);
  });

  it("reports AdminService as serving while the sidecar is drained, and so do its watches", async () => {
    const { admin, server } = await start();
    const states: string[] = [];
    const watch = admin.makeServerStreamRequest(
      "/grpc.health.v1.Health/Watch",
      (name: string) => Buffer.from([0x0a, name.length, ...Buffer.from(name)]),
      (bytes: Buffer) => (bytes[1] === 1 ? "SERVING" : "NOT_SERVING"),
      "splitcache.v1.EventCacheService",
    );
    watch.on("data", (state: string) => states.push(state)).on("error", () => {});
    await eventually(() => expect(states).toEqual(["SERVING"]));
    await callUnary(admin, admin.drain, {});
    await eventually(() => expect(states).toEqual(["SERVING", "NOT_SERVING"]));
    const env = { SPLITCACHE_ADDRESS: server.adminAddress };
    const service = "splitcache.admin.v1.AdminService";
    expect((await runCli(["health", "--service", service], { env })).stdout).toBe("SERVING\n");
    expect((await runCli(["health"], { env })).stdout).toBe("NOT_SERVING\n");
    await callUnary(admin, admin.undrain, {});
    await eventually(() => expect(states).toEqual(["SERVING", "NOT_SERVING", "SERVING"]));
    watch.cancel();
  });

  it("may be a Unix socket", async () => {
    const folder = await mkdtemp(join(tmpdir(), "splitcache-"));
    try {
      const path = join(folder, "admin.sock");
      const server = await startTestServer({ adminListen: [{ kind: "unix", path }] });
      servers.push(server);
      const env = { SPLITCACHE_ADMIN_LISTEN: `unix:${path}` };
      const { stdout } = await runCli(["admin", "connections"], { env });
      expect(stdout).toMatch(/\nadmin +unix +[\d.]+ m?s +1\n/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("is not there unless it is asked for", async () => {
    const server = await startTestServer({ adminListen: [] });
    servers.push(server);
    expect(server.adminAddress).toBe("");
  });
});

/** A call whose request never arrives. */
function halfOpenCall(address: string) {
  const client: AdminServiceClient = adminClientOf(address);
  clients.push(client);
  const asIs = (bytes: Buffer) => bytes;
  const stream = client.makeClientStreamRequest(
    "/splitcache.admin.v1.AdminService/GetLogLevel",
    asIs,
    asIs,
    () => {},
  );
  const begun = new Promise<void>((resolve) => {
    client.waitForReady(Date.now() + 10_000, () => resolve());
  });
  return { begun, cancel: () => stream.cancel() };
}
