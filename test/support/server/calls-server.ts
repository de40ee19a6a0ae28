import { expect } from "vitest";
import type * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../eventually.js";
import { call } from "./calls.js";
import { type TestServer, useGrpcServers } from "./grpc-server.js";
import { read } from "./wire.js";

const startServer = useGrpcServers();

export async function open(options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options);
  const client = server.client();
  const get = (request: wire.GetEventsRequest) => call(client, client.getEvents, request);
  const position = async () => (await get(read([]))).position;
  return { server, client, get, position };
}

/** Whatever a test broke, nothing is in flight afterwards. */
export async function expectIdle(server: TestServer): Promise<void> {
  await eventually(() =>
    expect(server.usage()).toEqual({
      callsInFlight: 0,
      bytesInFlight: 0,
      readStreams: 0,
      subscriptionBytes: 0,
      auxiliaryCalls: 0,
    }),
  );
}
