import { type ClientHttp2Session, connect } from "node:http2";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";
import { read } from "../../support/server/wire.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(): Promise<TestServer> {
  const server = await startTestServer();
  cleanups.push(() => server.stop());
  return server;
}

function open(address: string): ClientHttp2Session {
  const session = connect(`http://${address}`);
  session.on("error", () => {});
  cleanups.push(() => session.destroy());
  return session;
}

const PROBE = "/grpc.health.v1.Health/Check";
const READ = framed(wire.GetEventsRequest.encode(read([])).finish());

async function metric(server: TestServer, series: string): Promise<number> {
  const text = await (await fetch(`${server.httpUrl}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return Number(line?.split(" ")[1]);
}

/** Calls methods that do not exist until the connection is gone. */
async function flood(session: ClientHttp2Session): Promise<void> {
  const gone = new Promise<void>((resolve) => session.once("close", resolve));
  for (let count = 0; count < 5000 && !session.closed && !session.destroyed; count++) {
    const { stream, end } = rawCall(session, "Nothing");
    stream.end();
    stream.resume();
    await end;
  }
  await gone;
}

describe("a header that gRPC does not allow", () => {
  it("is in no log with its value, however often it comes, and the call is served", async () => {
    const printed = vi.spyOn(console, "error").mockImplementation(() => {});
    const server = await start();
    const session = open(server.address);
    for (let count = 0; count < 20; count++) {
      const { stream, end } = rawCall(session, "GetEvents", { authorization: "Bearer s\u00e9cret-token" });
      stream.end(READ);
      stream.resume();
      expect(await end).toBe(`${status.OK}`);
    }
    expect(printed).not.toHaveBeenCalled();
    expect(JSON.stringify(server.logLines)).not.toContain("cret");
    expect(server.logLines.filter(({ header }) => header === "authorization")).toMatchObject([
      { level: "debug", msg: "a header was ignored: gRPC does not allow its value" },
    ]);
  });
});

describe("connections that flood", () => {
  it("are counted by what they did, and logged once in a while, with their address", async () => {
    const server = await start();
    const kinds = ["tiny_data", "unknown_method", "reset_call"];
    for (const kind of kinds) expect(await metric(server, `splitcache_floods_total{kind="${kind}"}`)).toBe(0);
    for (let count = 0; count < 3; count++) await flood(open(server.address));
    await eventually(async () => {
      expect(await metric(server, 'splitcache_floods_total{kind="unknown_method"}')).toBe(3);
    });
    expect(server.logLines.filter(({ kind }) => kind === "unknown_method")).toMatchObject([
      { level: "warn", peer: "127.0.0.1" },
    ]);
  });

  it("are ended on the port of the probes, too, and probes go on", async () => {
    const server = await start();
    await flood(open(server.healthAddress));
    expect(await metric(server, 'splitcache_floods_total{kind="unknown_method"}')).toBe(1);
    const probe = rawCall(open(server.healthAddress), "", { ":path": PROBE });
    probe.stream.end(framed(Buffer.alloc(0)));
    probe.stream.resume();
    expect(await probe.end).toBe(`${status.OK}`);
  });
});

describe("the port of the probes", () => {
  it.each([
    ["a compressed request", { "grpc-encoding": "gzip" }, Buffer.alloc(0), status.UNIMPLEMENTED],
    ["a malformed timeout", { "grpc-timeout": "soon" }, Buffer.alloc(0), status.INVALID_ARGUMENT],
    ["malformed protobuf", {}, Buffer.from("ffffffff", "hex"), status.INVALID_ARGUMENT],
  ])("refuses %s", async (_what, headers, message, code) => {
    const server = await start();
    for (const method of ["Check", "Watch"]) {
      const path = { ":path": `/grpc.health.v1.Health/${method}` };
      const { stream, end } = rawCall(open(server.healthAddress), "", { ...path, ...headers });
      stream.end(framed(message));
      stream.resume();
      expect(await end).toBe(`${code}`);
    }
  });
});
