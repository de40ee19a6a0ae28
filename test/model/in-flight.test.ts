import type { ClientHttp2Session } from "node:http2";
import { constants } from "node:http2";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { HealthImplementation } from "grpc-health-check";
import { describe, expect, it } from "vitest";
import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import { addReflection } from "../../src/probes/reflection.js";
import { Drain } from "../../src/rpc/admission/drain.js";
import type { TransportUsage } from "../../src/rpc/grpc-server.js";
import { runSettings } from "../support/model/runs/run-settings.js";
import { expectIdle } from "../support/model/system/grpc-connection.js";
import { call } from "../support/server/calls.js";
import { type TestServer, useGrpcServers } from "../support/server/grpc-server.js";
import { framed, rawCall } from "../support/server/raw-call.js";
import { cachedEvent, HOMESERVER, put, read } from "../support/server/wire.js";

const startServer = useGrpcServers();
const { runs, timeoutMs } = runSettings(60);

const MIB = 1024 * 1024;
const LIMITS = {
  callsInFlightMax: 12,
  bytesInFlightMax: 10 * MIB,
  readStreamsMax: 6,
  subscribersMax: 6,
};
const BOUNDS: Partial<TransportUsage> = {
  callsInFlight: LIMITS.callsInFlightMax,
  bytesInFlight: LIMITS.bytesInFlightMax,
  readStreams: LIMITS.readStreamsMax,
};

/** The whole request of each kind of call. */
const large = cachedEvent("$large", { body: Buffer.alloc(200_000, 120) });
const readLarge = read(["$large", "$large", "$missing"]);
const streamed = (id: number) =>
  framed(wire.GetEventsStreamRequest.encode({ requestId: BigInt(id), request: readLarge }).finish());
const subscribe = { homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "" };
const REQUESTS: Readonly<Record<string, Buffer>> = {
  GetEvents: framed(wire.GetEventsRequest.encode(readLarge).finish()),
  PutEvents: framed(wire.PutEventsRequest.encode(put([large], undefined)).finish()),
  GetEventsStream: Buffer.concat([1, 2, 3, 3].map(streamed)),
  Subscribe: framed(wire.SubscribeRequest.encode(subscribe).finish()),
  "/grpc.health.v1.Health/Check": framed(Buffer.alloc(0)),
  "/grpc.health.v1.Health/Watch": framed(Buffer.alloc(0)),
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": framed(Buffer.from("3a00", "hex")),
  "/nothing/Nothing": framed(Buffer.alloc(100)),
};

/** What a client does to one call, and how it ends. */
const plan = fc.record({
  method: fc.constantFrom(...Object.keys(REQUESTS)),
  session: fc.nat({ max: 2 }),
  /** Where the request is cut off; mostly it is not. */
  sent: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: 1 }),
  isCompressed: fc.boolean(),
  isAnnounced: fc.boolean(),
  halfCloses: fc.boolean(),
  timeout: fc.constantFrom(undefined, undefined, "1n", "5m", "20m"),
  turns: fc.nat({ max: 30 }),
  end: fc.constantFrom("cancel", "cancel", "wait", "disconnect", "leave"),
});
type Plan = typeof plan extends fc.Arbitrary<infer Value> ? Value : never;

describe("usage in flight", () => {
  it(
    "is nothing once no call is, wherever calls were cut off, and is never less",
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(plan, { minLength: 1, maxLength: 30 }),
          fc.boolean(),
          async (plans, reads) => {
            const server = await startServer({ limits: LIMITS });
            new HealthImplementation({ "": "SERVING" }).addToServer(server.server);
            addReflection(server.server, { drain: new Drain(), absentServices: [] });
            const client = server.client();
            const { position } = await call(client, client.getEvents, read([]));
            await call(client, client.putEvents, put([large], position));
            // Clients without a window do not read replies.
            const settings = reads ? {} : { initialWindowSize: 0 };
            const sessions = [1, 2, 3].map(() => server.raw(settings));
            await Promise.all(plans.map((one) => act(server, sessions[one.session]!, one)));
            for (const session of sessions) session.destroy();
            await expectIdle(server.usage);
            expect((await call(client, client.getEvents, readLarge)).events).toHaveLength(2);
            client.close();
            await expectIdle(server.usage);
            server.server.forceShutdown();
            expect(server.errors).toEqual([]);
          },
        ),
        runs,
      );
    },
    timeoutMs,
  );
});

async function act(server: TestServer, session: ClientHttp2Session, plan: Plan): Promise<void> {
  const whole = REQUESTS[plan.method]!;
  let request = whole.subarray(0, Math.ceil(plan.sent * whole.byteLength));
  if (plan.isCompressed) {
    request = framed(gzipSync(whole));
    request[0] = 1;
  }
  const path = plan.method.startsWith("/") ? { ":path": plan.method } : {};
  const encoding = plan.isCompressed && plan.isAnnounced ? { "grpc-encoding": "gzip" } : {};
  const timeout = plan.timeout === undefined ? {} : { "grpc-timeout": plan.timeout };
  await turn();
  // Another plan has ended the connection.
  if (session.closed || session.destroyed) return;
  const { stream, end } = rawCall(session, plan.method, { ...path, ...encoding, ...timeout });
  stream.resume();
  stream.write(request);
  if (plan.halfCloses) stream.end();
  for (let turns = 0; turns < plan.turns; turns++) {
    expectBounded(server.usage());
    await turn();
  }
  if (plan.end === "cancel") stream.close(constants.NGHTTP2_CANCEL);
  if (plan.end === "disconnect") session.destroy();
  if (plan.end === "wait" && plan.method !== "GetEventsStream" && plan.halfCloses) {
    await Promise.race([end, turnsOf(200)]);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function turnsOf(count: number): Promise<void> {
  for (let turns = 0; turns < count; turns++) await turn();
}

function expectBounded(usage: TransportUsage): void {
  for (const [name, amount] of Object.entries(usage)) {
    expect(amount, name).toBeGreaterThanOrEqual(0);
    expect(amount, name).toBeLessThanOrEqual(BOUNDS[name as keyof TransportUsage] ?? 64 * MIB);
  }
}
