import { randomBytes } from "node:crypto";
import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { useSecretFolders } from "./certificates.js";
import { startTestServer } from "./start-server.js";

export const makeFolder = useSecretFolders();
export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export const token = () => randomBytes(32).toString("hex");
export const ALPHA = "alpha.example";
export const BETA = "beta.example";

interface ClientText {
  readonly name: string;
  readonly role: string;
  readonly homeservers?: readonly string[];
  readonly [credential: string]: unknown;
}

export function authYaml(clients: readonly ClientText[]): string {
  // JSON is YAML.
  return JSON.stringify({ clients });
}

/** A sidecar with one client of each role, and their tokens. `operator`: the homeservers of the operator. */
export async function start({ operator }: { readonly operator?: readonly string[] } = {}) {
  const folder = await makeFolder();
  const tokens = { alpha: token(), beta: token(), reader: token(), operator: token(), metrics: token() };
  const entry = async (name: keyof typeof tokens, role: string, homeservers?: readonly string[]) => ({
    name,
    role,
    ...(homeservers !== undefined && { homeservers }),
    token_files: [await folder.write(name, `${tokens[name]}\n`)],
  });
  const clients: ClientText[] = [
    await entry("alpha", "homeserver", [ALPHA]),
    await entry("beta", "homeserver", [BETA]),
    await entry("reader", "reader", [ALPHA]),
    await entry("operator", "operator", operator),
    await entry("metrics", "metrics"),
  ];
  const authFile = await folder.write("auth.yaml", authYaml(clients));
  const server = await startTestServer({ authFile }, { fileCheckIntervalMs: 3_600_000 });
  cleanups.push(() => server.stop());
  const client = new wire.EventCacheServiceClient(server.address, credentials.createInsecure());
  cleanups.push(() => client.close());
  return { folder, tokens, clients, authFile, server, client };
}

export function bearing(...values: readonly string[]): Metadata {
  const metadata = new Metadata();
  for (const value of values) metadata.add("authorization", `Bearer ${value}`);
  return metadata;
}

export type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

export function call<Request, Response>(
  client: object,
  method: Method<Request, Response>,
  request: Request,
  metadata: Metadata,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, metadata, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

export const readOf = (homeserver: string, eventIds: string[] = []) =>
  wire.GetEventsRequest.create({ homeserver, eventIds });

export const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => status.OK,
    (error: ServiceError) => error.code,
  );

export type Client = wire.EventCacheServiceClient;
export const getEvents = (client: Client, homeserver: string, metadata: Metadata, eventIds: string[] = []) =>
  call(
    client,
    client.getEvents as Method<wire.GetEventsRequest, wire.GetEventsResponse>,
    readOf(homeserver, eventIds),
    metadata,
  );
