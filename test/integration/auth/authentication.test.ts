import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { headerBlock } from "../../attack/http2/frames.js";
import { framed } from "../../attack/http2/raw-call.js";
import { RawConnection } from "../../attack/http2/raw-connection.js";
import { runCli } from "../../support/cli/run-cli.js";
import { eventually } from "../../support/eventually.js";
import { adminClientOf } from "../../support/server/admin-client.js";
import {
  ALPHA,
  authYaml,
  BETA,
  bearing,
  call,
  cleanups,
  codeOf,
  getEvents,
  type Method,
  readOf,
  start,
  token,
} from "../../support/server/auth-server.js";

describe("authentication", () => {
  it("refuses a call without credentials, with a wrong token, or with two headers, and answers health", async () => {
    const { client, tokens, server } = await start();
    expect(await codeOf(getEvents(client, ALPHA, new Metadata()))).toBe(status.UNAUTHENTICATED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(token())))).toBe(status.UNAUTHENTICATED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(tokens.alpha)))).toBe(status.OK);
    const basic = new Metadata();
    basic.set("authorization", `Basic ${tokens.alpha}`);
    expect(await codeOf(getEvents(client, ALPHA, basic))).toBe(status.UNAUTHENTICATED);
    const health = await runCli(["health", "--address", server.address]);
    expect(health.stdout).toBe("SERVING\n");
    for (const log of server.logLines) expect(JSON.stringify(log)).not.toContain(tokens.alpha);
  });

  it("refuses two authorization headers, even if both are right", async () => {
    const { tokens, server } = await start();
    const connection = await RawConnection.open(Number(server.address.split(":")[1]));
    cleanups.push(() => connection.destroy());
    const codeWith = async (...values: readonly string[]) => {
      const fields = [
        ...[":method", "POST", ":path", "/splitcache.v1.EventCacheService/GetEvents", ":scheme", "http"],
        ...[":authority", "localhost", "content-type", "application/grpc", "te", "trailers"],
        ...values.flatMap((value) => ["authorization", `Bearer ${value}`]),
      ];
      const headers = fields.flatMap((name, at) =>
        at % 2 === 0 ? [[name, fields[at + 1] ?? ""] as const] : [],
      );
      const call = connection.call(headerBlock(headers));
      call.data(framed(Buffer.from(wire.GetEventsRequest.encode(readOf(ALPHA)).finish())), true);
      return (await call.end).status;
    };
    expect(await codeWith(tokens.alpha)).toBe(status.OK);
    expect(await codeWith(tokens.alpha, tokens.alpha)).toBe(status.UNAUTHENTICATED);
  });

  it("answers alike for another's homeserver, whether or not it is known", async () => {
    const { client, tokens } = await start();
    await getEvents(client, BETA, bearing(tokens.beta));
    const failures = await Promise.all(
      [BETA, "unknown.example"].map((name) =>
        getEvents(client, name, bearing(tokens.alpha)).catch((error: ServiceError) => error),
      ),
    );
    const [known, unknown] = failures.map((error) => {
      const { code, details, metadata } = error as ServiceError;
      return { code, details, metadata: Object.keys(metadata.getMap()).filter((key) => key !== "date") };
    });
    expect(known).toEqual(unknown);
    expect(known?.code).toBe(status.PERMISSION_DENIED);
  });

  it("answers a read stream's request for another's homeserver with a failure, and answers the next request", async () => {
    const { client, tokens } = await start();
    const stream = client.getEventsStream(bearing(tokens.alpha));
    cleanups.push(() => stream.cancel());
    const replies: wire.GetEventsStreamResponse[] = [];
    stream.on("data", (reply) => replies.push(reply)).on("error", () => {});
    stream.write({ requestId: 1n, request: readOf(BETA) });
    stream.write({ requestId: 2n, request: readOf(ALPHA) });
    await eventually(() => expect(replies).toHaveLength(2));
    expect(replies[0]?.result).toMatchObject({ $case: "failure", value: { code: status.PERMISSION_DENIED } });
    expect(replies[1]?.result?.$case).toBe("response");
  });
});

describe("roles", () => {
  const event = (eventId: string, rejected: boolean) => ({
    eventId,
    roomId: "!room",
    roomVersion: "11",
    body: Buffer.from('{"type":"m.room.message","content":{}}'),
    rejected,
    rejectedReason: "",
    internalMetadata: Buffer.from("secret"),
    redaction: undefined,
  });

  it("give a reader the redacted view, without internal metadata and rejected events, and nothing else", async () => {
    const { client, tokens } = await start();
    const { position: asOf } = await getEvents(client, ALPHA, bearing(tokens.alpha));
    const put = wire.PutEventsRequest.create({
      homeserver: ALPHA,
      events: [event("$good", false), event("$bad", true)],
      asOf,
    });
    const putEvents = client.putEvents as Method<wire.PutEventsRequest, wire.PutEventsResponse>;
    await call(client, putEvents, put, bearing(tokens.alpha));
    const own = await getEvents(client, ALPHA, bearing(tokens.alpha), ["$good", "$bad"]);
    expect(own.events.map(({ internalMetadata }) => String(internalMetadata))).toEqual(["secret", "secret"]);
    const seen = await getEvents(client, ALPHA, bearing(tokens.reader), ["$good", "$bad"]);
    expect(seen.events.map(({ eventId, internalMetadata }) => [eventId, String(internalMetadata)])).toEqual([
      ["$good", ""],
    ]);
    expect(seen.missingEventIds).toEqual(["$bad"]);
    expect(await codeOf(call(client, putEvents, put, bearing(tokens.reader)))).toBe(status.PERMISSION_DENIED);
    const original = { ...readOf(ALPHA), redactionView: wire.RedactionView.ORIGINAL };
    const getOriginal = call(
      client,
      client.getEvents as Method<wire.GetEventsRequest, wire.GetEventsResponse>,
      original,
      bearing(tokens.reader),
    );
    expect(await codeOf(getOriginal)).toBe(status.PERMISSION_DENIED);
    expect(await codeOf(getEvents(client, BETA, bearing(tokens.reader)))).toBe(status.PERMISSION_DENIED);
  });

  it("let an operator see metrics and the status page, and anybody probe", async () => {
    const { tokens, server } = await start();
    const get = async (path: string, authorization?: string) => {
      const headers = authorization === undefined ? {} : { authorization };
      return await fetch(`${server.httpUrl}${path}`, { headers });
    };
    const basic = (password: string) => `Basic ${Buffer.from(`me:${password}`).toString("base64")}`;
    for (const path of ["/metrics", "/", "/status.json", "/status.css", "/status.js", "/status.svg"]) {
      for (const authorization of [`Bearer ${tokens.alpha}`, basic(tokens.alpha)]) {
        const reply = await get(path, authorization);
        expect([path, authorization, reply.status]).toEqual([path, authorization, 403]);
        expect(await reply.text()).toContain("role operator");
      }
      for (const authorization of [undefined, basic(""), "Basic !"]) {
        const reply = await get(path, authorization);
        expect([path, authorization, reply.status]).toEqual([path, authorization, 401]);
        expect(reply.headers.get("www-authenticate")).toMatch(/^Bearer, Basic realm=/);
        expect(await reply.text()).toContain("role operator");
      }
      for (const authorization of [`Bearer ${tokens.operator}`, basic(tokens.operator)]) {
        expect([path, (await get(path, authorization)).status]).toEqual([path, 200]);
      }
    }
    for (const path of ["/livez", "/readyz"]) expect((await get(path)).status).toBe(200);
  });

  it("let only an operator purge and administer", async () => {
    const { client, tokens, server } = await start();
    const admin = adminClientOf(server.adminAddress);
    cleanups.push(() => admin.close());
    const purge = wire.PurgeHomeserverRequest.create({ homeserver: ALPHA });
    const purgeBy = (by: string) =>
      codeOf(
        call(
          client,
          client.purgeHomeserver as Method<wire.PurgeHomeserverRequest, unknown>,
          purge,
          bearing(by),
        ),
      );
    const adminBy = (metadata: Metadata) =>
      codeOf(call(admin, admin.getLogLevel as Method<object, unknown>, {}, metadata));
    expect(await purgeBy(tokens.operator)).toBe(status.OK);
    expect(await purgeBy(tokens.reader)).toBe(status.PERMISSION_DENIED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(tokens.operator)))).toBe(status.PERMISSION_DENIED);
    expect(await adminBy(bearing(tokens.operator))).toBe(status.OK);
    expect(await adminBy(bearing(tokens.alpha))).toBe(status.PERMISSION_DENIED);
    expect(await adminBy(new Metadata())).toBe(status.UNAUTHENTICATED);
  });
});

describe("a reload", () => {
  it("takes rights away from open streams, and leaves the others alone", async () => {
    const { client, tokens, clients, authFile, folder, server } = await start();
    const subscribe = (by: string, homeserver: string) => {
      const stream = client.subscribe(wire.SubscribeRequest.create({ homeserver }), bearing(by));
      const seen = { frames: 0, code: undefined as number | undefined };
      stream.on("data", () => {
        seen.frames += 1;
      });
      stream.on("error", ({ code }: ServiceError) => {
        seen.code = code;
      });
      cleanups.push(() => stream.cancel());
      return seen;
    };
    const [gone, kept] = [subscribe(tokens.alpha, ALPHA), subscribe(tokens.beta, BETA)];
    await eventually(() => expect([gone.frames > 0, kept.frames > 0]).toEqual([true, true]));
    const next = token();
    await folder.write("alpha", next);
    await folder.write("auth.yaml", authYaml(clients));
    server.reload();
    await eventually(() => expect(gone.code).toBe(status.UNAUTHENTICATED));
    expect(await codeOf(getEvents(client, ALPHA, bearing(tokens.alpha)))).toBe(status.UNAUTHENTICATED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(next)))).toBe(status.OK);
    expect(kept.code).toBeUndefined();
    // A broken file changes nothing.
    await folder.write("auth.yaml", "clients: [");
    server.reload();
    await eventually(() => expect(server.logLines.filter(({ level }) => level === "error")).toHaveLength(1));
    expect(await codeOf(getEvents(client, ALPHA, bearing(next)))).toBe(status.OK);
    expect(authFile).toBe(folder.path("auth.yaml"));
  });
});
