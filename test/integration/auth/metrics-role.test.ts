import { Client, credentials, type MethodDefinition, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { ServerReflectionService as ReflectionV1 } from "../../../src/gen/grpc/reflection/v1/reflection.js";
import { AdminServiceService } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import { EventCacheServiceService } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { runCli } from "../../support/cli/run-cli.js";
import { authYaml, bearing, cleanups, start } from "../../support/server/auth-server.js";

/** The status of a call of any method, by its headers alone: none needs a valid request to be refused. */
function codeOfCall(address: string, { path }: Pick<MethodDefinition<unknown, unknown>, "path">, by: string) {
  const client = new Client(address, credentials.createInsecure());
  cleanups.push(() => client.close());
  const call = client.makeBidiStreamRequest(
    path,
    () => Buffer.alloc(0),
    (reply: Buffer) => reply,
    bearing(by),
  );
  const code = new Promise<number>((resolve) => {
    call.on("data", () => {}).on("status", (ended) => resolve(ended.code));
    call.on("error", (error: ServiceError) => resolve(error.code));
  });
  call.end();
  return code;
}

const PAGES = ["/", "/status.json", "/status.css", "/status.js", "/status.svg"];

describe("a client of role metrics", () => {
  it("reads the metrics and no page", async () => {
    const { tokens, server } = await start();
    const get = (path: string) =>
      fetch(`${server.httpUrl}${path}`, { headers: { authorization: `Bearer ${tokens.metrics}` } });
    expect(await (await get("/metrics")).text()).toContain("\nsplitcache_build_info{");
    for (const path of PAGES) expect([path, (await get(path)).status]).toEqual([path, 403]);
    expect((await get("/other")).status).toBe(404);
  });

  it("may call no method: neither of the cache, nor of AdminService, nor of reflection", async () => {
    const { tokens, server } = await start();
    const methods = [
      ...Object.values(EventCacheServiceService).map((method) => [server.address, method] as const),
      ...Object.values(AdminServiceService).map((method) => [server.adminAddress, method] as const),
      ...Object.values(ReflectionV1).map((method) => [server.address, method] as const),
      [server.address, { path: "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" }] as const,
    ];
    expect(methods.length).toBeGreaterThan(20);
    for (const [address, method] of methods) {
      const code = await codeOfCall(address, method, tokens.metrics);
      expect([method.path, code]).toEqual([method.path, status.PERMISSION_DENIED]);
    }
    // The same call of reflection, by a client that may make it.
    expect(await codeOfCall(server.address, ReflectionV1.serverReflectionInfo, tokens.reader)).toBe(
      status.OK,
    );
  });

  it("serves splitcache stats and not splitcache top, which says which role it needs", async () => {
    const { folder, server, tokens } = await start();
    const http = server.httpUrl.replace("http://", "");
    const run = (command: string, token: string) =>
      runCli([...command.split(" "), "--http", http, "--token-file", folder.path(token)]);
    expect(tokens.metrics).not.toBe(tokens.alpha);
    expect(await run("stats", "metrics")).toMatchObject({ code: 0, stderr: "" });
    expect((await run("top -n 1", "metrics")).stderr).toContain("a client of role operator:");
    expect((await run("stats", "alpha")).stderr).toContain("a client of role metrics or operator:");
  });

  it("loses the metrics when it is removed from the auth file", async () => {
    const { clients, folder, server, tokens } = await start();
    const headers = { authorization: `Bearer ${tokens.metrics}` };
    const read = async () => (await fetch(`${server.httpUrl}/metrics`, { headers })).status;
    expect(await read()).toBe(200);
    await folder.write("auth.yaml", authYaml(clients.filter(({ name }) => name !== "metrics")));
    server.reload();
    await expect.poll(read).toBe(401);
  });
});
