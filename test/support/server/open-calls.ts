import type { ClientHttp2Session } from "node:http2";
import { HealthImplementation } from "grpc-health-check";
import { expect } from "vitest";
import { addReflection } from "../../../src/probes/reflection.js";
import { Drain } from "../../../src/rpc/admission/drain.js";
import { eventually } from "../eventually.js";
import { type TestServer, useGrpcServers } from "./grpc-server.js";
import { rawCall } from "./raw-call.js";

export const startServer = useGrpcServers();
export const METHODS = ["GetEvents", "PutEvents", "GetEventsStream", "Subscribe"];
export const OTHER_METHODS = [
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/Watch",
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];
export const ALL_METHODS = [...METHODS, ...OTHER_METHODS];

export async function startWithAllServices(
  options: Parameters<typeof startServer>[0] = {},
): Promise<TestServer> {
  const server = await startServer(options);
  new HealthImplementation({ "": "SERVING" }).addToServer(server.server);
  addReflection(server.server, { drain: new Drain(), absentServices: [] });
  return server;
}

/** `method` is one of the cache's, or a whole path. */
export function begin(session: ClientHttp2Session, method: string, headers = {}) {
  const path = method.startsWith("/") ? { ":path": method } : {};
  const started = rawCall(session, method, { ...path, ...headers });
  started.stream.resume();
  return started;
}

export async function expectIdle(server: TestServer): Promise<void> {
  const idle = {
    callsInFlight: 0,
    bytesInFlight: 0,
    readStreams: 0,
    subscriptionBytes: 0,
    auxiliaryCalls: 0,
  };
  await eventually(() => expect(server.usage()).toEqual(idle));
}

/** Resolves when a session has ended, however. */
export function closed(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => session.once("close", resolve));
}
