import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { type AdminSources, createAdminHttp } from "../../../src/probes/http.js";

let server: Server;

afterEach(() => {
  server.close();
  server.closeAllConnections();
});

async function serve(sources: AdminSources): Promise<(path: string, method?: string) => Promise<Response>> {
  server = createAdminHttp(sources);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return (path, method = "GET") => fetch(`http://127.0.0.1:${port}${path}`, { method });
}

const metrics = { contentType: "text/x", metrics: async () => Buffer.from("up 1\n") };

it("answers /readyz by readiness, and /livez always", async () => {
  let isReady = true;
  const request = await serve({ isReady: () => isReady });
  expect((await request("/readyz")).status).toBe(200);
  isReady = false;
  expect((await request("/readyz?verbose")).status).toBe(503);
  expect((await request("/livez")).status).toBe(200);
});

it("serves metrics with their content type, and a HEAD without a body", async () => {
  const request = await serve({ isReady: () => true, metrics });
  const reply = await request("/metrics");
  expect([reply.headers.get("content-type"), await reply.text()]).toEqual(["text/x", "up 1\n"]);
  const head = await request("/metrics", "HEAD");
  expect([head.headers.get("content-length"), await head.text()]).toEqual(["5", ""]);
});

it("answers 500 without details when metrics cannot be collected", async () => {
  const request = await serve({
    isReady: () => true,
    metrics: { contentType: "", metrics: () => Promise.reject(new Error("secret")) },
  });
  const reply = await request("/metrics");
  expect([reply.status, await reply.text()]).toEqual([500, "internal error\n"]);
});

it.each(["POST", "PUT", "DELETE", "OPTIONS"])("refuses %s", async (method) => {
  const request = await serve({ isReady: () => true, metrics });
  const reply = await request("/livez", method);
  expect([reply.status, reply.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
});

it.each(["/", "/livez/", "/__proto__", "/metrics"])("does not know %s without metrics", async (path) => {
  const request = await serve({ isReady: () => true });
  expect((await request(path)).status).toBe(404);
});
