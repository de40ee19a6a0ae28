import type { ClientHttp2Session } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CallAccess } from "../../../src/auth/call-access.js";
import { Clients, digestOf } from "../../../src/auth/clients.js";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { ALPHA, readOf, token } from "../../support/server/auth-server.js";
import { begin, closed, startWithAllServices } from "../../support/server/open-calls.js";
import { framed, rawCall } from "../../support/server/raw-call.js";

const secret = token();
const authorization = `Bearer ${secret}`;
const rights = { name: "a", role: "homeserver", homeservers: new Set([ALPHA]) } as const;
const access = () =>
  new CallAccess(
    new Clients([{ rights, tokenDigests: [digestOf(secret)], certificateNames: [], unixSockets: [] }]),
    { refused: () => {}, denied: () => {}, called: () => {} },
  );

describe("callers without valid credentials", () => {
  it("lose their connection if they call too often, and a few calls are forgiven", async () => {
    const server = await startWithAllServices({ access: access() });
    const session = server.raw();
    const gone = closed(session);
    for (let count = 0; count < 100; count += 1) expect(await begin(session, "GetEvents").end).toBe("16");
    expect(session.closed).toBe(false);
    for (let count = 0; count < 1000 && !session.closed && !session.destroyed; count += 1) {
      begin(session, "GetEvents");
    }
    await gone;
    expect(server.floods).toEqual(["unauthenticated"]);
  });

  it("change nothing about the shares of clients that have them: their health checks count apart", async () => {
    const server = await startWithAllServices({ access: access(), limits: { readStreamsMax: 4 } });
    const bytes = framed(
      wire.GetEventsStreamRequest.encode({ requestId: 1n, request: readOf(ALPHA) }).finish(),
    );
    const openStreams = async () => {
      const sessions: ClientHttp2Session[] = [];
      let open = 0;
      for (let count = 0; count < 4; count += 1) {
        const session = server.raw();
        sessions.push(session);
        const { stream } = rawCall(session, "GetEventsStream", { authorization });
        stream.write(bytes);
        await new Promise<void>((resolve) => {
          stream.once("data", () => {
            open += 1;
            resolve();
          });
          stream.once("close", resolve);
        });
      }
      for (const session of sessions) session.destroy();
      await eventually(() => expect(server.usage().readStreams).toBe(0));
      return open;
    };
    expect(await openStreams()).toBe(4);
    const { stream, end } = begin(server.raw({}, "127.0.0.9"), "/grpc.health.v1.Health/Check");
    stream.end(framed(Buffer.alloc(0)));
    expect(await end).toBe(String(status.OK));
    expect(await openStreams()).toBe(4);
  });
});
