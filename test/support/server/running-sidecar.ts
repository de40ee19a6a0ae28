import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";
import type { Config } from "../../../src/config/options.js";
import type {
  EventCacheServiceClient,
  GetEventsResponse,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { startTestServer, type TestServer } from "./start-server.js";

export const servers: TestServer[] = [];

export const clients: Client[] = [];

export async function start(given: Partial<Config> = {}): Promise<TestServer> {
  const server = await startTestServer(given);
  servers.push(server);
  return server;
}

export function clientOf(address: string): Client {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  clients.push(client);
  return client;
}

export function callUnary(
  client: Client,
  method: MethodDefinition<object, object>,
  request: object,
): Promise<object> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = method;
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, reply) => {
      if (reply === undefined) reject(error);
      else resolve(reply);
    });
  });
}

export function getEvents(
  client: EventCacheServiceClient,
  homeserver: string,
  eventIds: string[],
): Promise<GetEventsResponse> {
  const request = {
    homeserver,
    eventIds,
    redactionView: 0,
    minPosition: undefined,
  } as const;
  return new Promise((resolve, reject) => {
    client.getEvents(request, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}
