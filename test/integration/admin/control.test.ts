import { once } from "node:events";
import { type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { LogLevel } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import { eventually } from "../../support/eventually.js";
import { callUnary } from "../../support/server/admin-client.js";
import { positionOf, putAndRead, start, subscribe } from "../../support/server/admin-server.js";

describe("the log level", () => {
  it("is returned, and changes the lines that are written", async () => {
    const { admin, client, server } = await start();
    expect(await callUnary(admin, admin.getLogLevel, {})).toEqual({ logLevel: LogLevel.DEBUG });
    const set = await callUnary(admin, admin.setLogLevel, { logLevel: LogLevel.WARN });
    expect(set).toEqual({ previousLogLevel: LogLevel.DEBUG });
    const before = server.logLines.length;
    await subscribe(client, "alpha.example", "quiet");
    expect(server.logLines.slice(before)).toEqual([]);
    await callUnary(admin, admin.setLogLevel, { logLevel: LogLevel.DEBUG });
    await subscribe(client, "alpha.example", "loud");
    expect(server.logLines.at(-1)).toMatchObject({ msg: "a subscriber connected", subscriber: "loud" });
  });

  it.each([0, 7])("cannot be set to %i", async (logLevel) => {
    const { admin } = await start();
    const refused = callUnary(admin, admin.setLogLevel, { logLevel: logLevel as LogLevel });
    const details = "log_level is required and must be a value of LogLevel";
    await expect(refused).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details });
  });
});

describe("drain", () => {
  it("takes the sidecar out of service, keeps its cache, and can be undone", async () => {
    const { admin, client, server } = await start();
    await putAndRead(client, "alpha.example", Buffer.from("{}"));
    const subscriber = await subscribe(client, "alpha.example", "one");
    expect(await callUnary(admin, admin.drain, {})).toMatchObject({ calls: 0, readStreams: 0 });

    expect(await subscriber.failed).toMatchObject({ code: status.UNAVAILABLE });
    expect(subscriber.frames).toContain("goingAway");
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(503);
    expect((await fetch(`${server.httpUrl}/livez`)).status).toBe(200);
    const refused = positionOf(client, "alpha.example");
    await expect(refused).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: "the server is draining",
    });
    await eventually(async () => {
      expect(await callUnary(admin, admin.drain, {})).toEqual({ calls: 0, readStreams: 0, subscribers: 0 });
    });

    await callUnary(admin, admin.undrain, {});
    await callUnary(admin, admin.undrain, {});
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(200);
    const eventIds = ["$one"];
    const request = {
      homeserver: "alpha.example",
      eventIds,
      redactionView: 0,
      minPosition: undefined,
    } as const;
    expect((await callUnary(client, client.getEvents, request)).events).toHaveLength(1);
    await subscribe(client, "alpha.example", "again");
    expect(server.logLines.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining([
        "the sidecar was drained by an operator; it refuses calls until it is undrained",
        "the sidecar was undrained; it accepts calls again",
      ]),
    );
  });

  it("ends a read stream", async () => {
    const { admin, client } = await start();
    const stream = client.getEventsStream();
    const failed = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
    const request = { homeserver: "alpha.example", eventIds: [], redactionView: 0, minPosition: undefined };
    stream.write({ requestId: 1n, request } as Parameters<typeof stream.write>[0]);
    await once(stream, "data");
    stream.resume();
    await callUnary(admin, admin.drain, {});
    expect(await failed).toMatchObject({ code: status.UNAVAILABLE });
  });
});
