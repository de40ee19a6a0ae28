import { expect } from "vitest";
import { eventually } from "../eventually.js";
import { call } from "./calls.js";
import { type TestServer, useGrpcServers } from "./grpc-server.js";
import { cachedEvent, put, read } from "./wire.js";

export const startServer = useGrpcServers();

/** A server that holds one event of 200,000 bytes under the ID $large. */
export async function startWithLargeEvent(options: Parameters<typeof startServer>[0]) {
  const server = await startServer(options);
  const client = server.client();
  const { position } = await call(client, client.getEvents, read([]));
  const large = cachedEvent("$large", { body: Buffer.alloc(200_000, 120) });
  await call(client, client.putEvents, put([large], position));
  await expectIdle(server);
  return { server, client };
}

export async function expectIdle(server: TestServer): Promise<void> {
  await eventually(() => expect(server.usage()).toMatchObject({ callsInFlight: 0, bytesInFlight: 0 }));
}
