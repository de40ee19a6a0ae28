import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { afterEach, describe, expect, it } from "vitest";
import type { SubscribeResponse } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { ListenError } from "../../../src/net/listeners.js";
import { eventually } from "../../support/eventually.js";
import { type RawCall, rawCall } from "../../support/server/raw-call.js";
import { ask, openReflection } from "../../support/server/reflection.js";
import { checkHealth, getEvents, SERVICE, start, stopAll } from "../../support/server/running-sidecar.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const sessions: ClientHttp2Session[] = [];

afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  await stopAll();
});

describe("stopping", () => {
  it("reports that it drains, takes no connections, and ends when the last call has", async () => {
    const server = await start();
    const { stream, end } = await beginCall(server);
    const stopped = server.drain();
    const reply = await fetch(`${server.httpUrl}/readyz`);
    expect([reply.status, await reply.text()]).toEqual([503, "draining\n"]);
    expect((await fetch(`${server.httpUrl}/livez`)).status).toBe(200);
    await expect(checkHealth(server.healthAddress, SERVICE)).resolves.toEqual({ status: "NOT_SERVING" });
    await expect(checkHealth(server.address, SERVICE)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    stream.end(Buffer.alloc(4));
    stream.resume();
    expect(await end).toBe(`${status.INVALID_ARGUMENT}`);
    await stopped;
    expect(server.logLines.at(-1)?.msg).toBe("stopped");
    expect(server.logLines.map(({ level }) => level)).not.toContain("warn");
  });

  it("cuts unfinished calls at the deadline, and logs it", async () => {
    const server = await start({ shutdownTimeoutMs: 50 });
    const { end } = await beginCall(server);
    await server.drain();
    expect(server.logLines.map(({ msg }) => msg)).toContain(
      "the shutdown timeout has passed; unfinished calls were cut",
    );
    expect(await end).toMatch(/^reset/);
  });

  it("waits for no stream of any kind, though its client leaves it open", async () => {
    const server = await start();
    const client = server.newClient();
    const watch = healthService["Watch"]!;
    const reflections = [openReflection(client), openReflection(client, "v1alpha")];
    const streams = [
      client.getEventsStream(),
      client.subscribe({ homeserver: "h", resumeAfter: undefined, subscriber: "w1" }),
      client.makeServerStreamRequest(watch.path, watch.requestSerialize, watch.responseDeserialize, {
        service: SERVICE,
      }),
      ...reflections,
    ];
    const ends = streams.map(
      (stream) => new Promise((resolve) => stream.once("status", ({ code }) => resolve(code))),
    );
    for (const stream of streams) stream.on("error", () => {}).on("data", () => {});
    await Promise.all(reflections.map((stream) => ask(stream, { $case: "listServices", value: "*" })));
    await server.drain();
    const { OK, UNAVAILABLE } = status;
    expect(await Promise.all(ends)).toEqual([UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, OK, OK]);
    expect(server.logLines.map(({ level }) => level)).not.toContain("warn");
  });

  it("sends subscribers GoingAway, then UNAVAILABLE", async () => {
    const server = await start();
    const frames: string[] = [];
    const stream = server
      .newClient()
      .subscribe({ homeserver: "h", resumeAfter: undefined, subscriber: "w1" });
    stream.on("data", (reply: SubscribeResponse) => frames.push(reply.frame?.$case ?? ""));
    const end = once(stream, "error");
    await once(stream, "data");
    await server.drain();
    expect(await end).toMatchObject([{ code: status.UNAVAILABLE }]);
    expect([frames[0], frames.at(-1)]).toEqual(["ready", "goingAway"]);
  });
});

describe("listeners", () => {
  it("serve a Unix socket with the given mode, and remove it at the end", async () => {
    const directory = await mkdtemp(join(tmpdir(), "splitcache-"));
    const path = join(directory, "s");
    const server = await start({ listen: [{ kind: "unix", path }], socketMode: 0o600 });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await getEvents(server.newClient(), "h", []);
    await server.stop();
    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
    await rm(directory, { recursive: true });
  });

  it("warn of an address that others can reach", async () => {
    const listen = [{ kind: "tcp", host: "0.0.0.0", port: 0 } as const];
    const server = await start({ listen });
    const warning = server.logLines.find(({ level }) => level === "warn");
    expect(warning?.msg).toMatch(/any client that can reach it can read and purge everything/);
    expect((await start()).logLines.find(({ level }) => level === "warn")).toBeUndefined();
  });

  it("are all closed again if one of them cannot be opened", async () => {
    const other = await start();
    const port = Number(new URL(other.httpUrl).port);
    const directory = await mkdtemp(join(tmpdir(), "splitcache-"));
    const path = join(directory, "s");
    const taken = { kind: "tcp", host: "127.0.0.1", port } as const;
    const failure = startTestServer({ listen: [{ kind: "unix", path }, taken] });
    await expect(failure).rejects.toThrow(ListenError);
    await expect(failure).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the address is already in use`,
    );
    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
    await rm(directory, { recursive: true });
  });
});

it("serves only the homeservers that the configuration names", async () => {
  const server = await start({ homeservers: ["a.example"] });
  const client = server.newClient();
  await getEvents(client, "a.example", []);
  await expect(getEvents(client, "b.example", [])).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
});

/** A call of GetEvents whose request has begun to arrive; the test ends it, or the server does. */
async function beginCall(server: TestServer): Promise<RawCall> {
  const session = connectHttp2(`http://${server.address}`);
  sessions.push(session);
  session.on("error", () => {});
  const begun = rawCall(session, "GetEvents");
  begun.stream.write(Buffer.alloc(1));
  await eventually(async () => {
    const samples = await (await fetch(`${server.httpUrl}/metrics`)).text();
    expect(samples).toContain("splitcache_calls_in_flight 1");
  });
  return begun;
}
