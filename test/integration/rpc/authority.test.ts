import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

let folder: string;
let server: TestServer;
let session: ClientHttp2Session;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
  server = await startTestServer({ listen: [{ kind: "unix", path: join(folder, "s") }] });
});

afterEach(() => session.destroy());

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

/** Calls the health service with these headers. */
function check(headers: Record<string, string>) {
  session = connectHttp2("http://localhost", { createConnection: () => connect(join(folder, "s")) });
  const stream = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => {}).end(Buffer.alloc(5));
  return stream.resume();
}

describe("over a Unix socket", () => {
  it.each([
    ["localhost", { ":authority": "localhost" }],
    ["a path with its slashes encoded", { ":authority": "%2Frun%2Fsplitcache.sock" }],
    ["a file name", { ":authority": "splitcache.sock" }],
    ["an address", { ":authority": "[::]:50051" }],
  ])("serves a call whose authority is %s", async (_, headers) => {
    const [trailers] = await once(check(headers), "trailers");
    expect(trailers).toMatchObject({ "grpc-status": "0" });
  });

  it.each([
    ["a path", { ":authority": "/run/splitcache.sock" }],
    ["a path with a scheme", { ":authority": "unix:/run/splitcache.sock" }],
  ])("resets a call whose authority is %s, as documented", async (_, headers) => {
    const stream = check(headers);
    // It ends with an error, which `once` would throw.
    await new Promise((resolve) => stream.once("close", resolve));
    expect(stream.rstCode).toBe(constants.NGHTTP2_PROTOCOL_ERROR);
  });
});
