import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import type { Config } from "../../../src/config/options.js";
import type {
  EventCacheServiceClient,
  GetEventsResponse,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { startTestServer, type TestServer } from "./start-server.js";

export const SERVICE = "splitcache.v1.EventCacheService";

const servers: TestServer[] = [];

/** Closed by `stopAll`. */
export const clients: Client[] = [];

/** Ends what a test has started with this file: for `afterEach`. */
export async function stopAll(): Promise<void> {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
}

export function checkHealth(address: string, service: string): Promise<object> {
  return callUnary(clientOf(address), healthService["Check"]!, { service });
}

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
