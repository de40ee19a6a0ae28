import { type ChannelOptions, credentials } from "@grpc/grpc-js";
import { type ServerDeps, startServer } from "../../../src/compose.js";
import { formatListenAddress } from "../../../src/config/address.js";
import type { Config } from "../../../src/config/options.js";
import { parseConfig } from "../../../src/config/parse-config.js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { createLogger } from "../../../src/telemetry/logger.js";

/** The real server on real sockets, in this process. */
export interface TestServer {
  /** Where gRPC is served, as a client takes it: the first listener. */
  readonly address: string;
  /** `http://127.0.0.1:port`, of /livez, /readyz and /metrics. */
  readonly httpUrl: string;
  /** Where probes are served, as `host:port`. */
  readonly healthAddress: string;
  /** Where AdminService is served, as `host:port`. */
  readonly adminAddress: string;
  /** The lines of the log so far, parsed. */
  readonly logLines: readonly LogLine[];
  /** A client of the first listener, with a connection of its own; `stop` closes it. */
  newClient(options?: ChannelOptions): EventCacheServiceClient;
  /** Reads certificates and clients again, as SIGHUP does. */
  reload(): void;
  /** Stops the server as SIGTERM does, without closing the clients first. */
  drain(): Promise<void>;
  /** Closes the clients and stops the server. May be called again. */
  stop(): Promise<void>;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A client with a connection of its own; the caller closes it. */
export function clientOf(address: string, options: ChannelOptions = {}): EventCacheServiceClient {
  return new EventCacheServiceClient(address, credentials.createInsecure(), {
    // Without it clients of one process share a connection.
    "grpc.use_local_subchannel_pool": 1,
    ...options,
  });
}

const ANY_PORT = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
const GIB = 2 ** 30;

/** Starts a server on free ports, with the defaults of the configuration but for what is given. */
export async function startTestServer(
  given: Partial<Config> = {},
  deps: Pick<ServerDeps, "fileCheckIntervalMs" | "statusIntervalMs"> = {},
): Promise<TestServer> {
  const { config } = parseConfig({
    flags: { texts: new Map(), unknown: [] },
    environment: {},
    file: undefined,
    memoryLimitBytes: undefined,
  });
  const logLines: LogLine[] = [];
  const server = await startServer(
    {
      ...config,
      listen: [ANY_PORT],
      http: ANY_PORT,
      healthListen: [ANY_PORT],
      adminListen: [ANY_PORT],
      ...given,
    },
    {
      logger: createLogger({ level: "debug", to: { write: (line) => void logLines.push(JSON.parse(line)) } }),
      ...deps,
      env: {},
      version: "0.0.0-test",
      nodeVersion: process.version,
      pid: process.pid,
      heapLimitBytes: 4 * GIB,
      ...deps,
    },
  );
  const clients = new Set<EventCacheServiceClient>();
  const [address, healthAddress, adminAddress, httpAddress] = [
    server.addresses[0],
    server.healthAddresses[0],
    server.adminAddresses[0],
    server.httpAddress,
  ].map((bound) => (bound === undefined ? "" : formatListenAddress(bound)));
  return {
    address: address ?? "",
    httpUrl: `http://${httpAddress}`,
    healthAddress: healthAddress ?? "",
    adminAddress: adminAddress ?? "",
    logLines,
    newClient: (options) => {
      const client = clientOf(address ?? "", options);
      clients.add(client);
      return client;
    },
    reload: () => server.reload(),
    drain: () => server.stop(),
    stop: async () => {
      for (const client of clients) client.close();
      await server.stop();
    },
  };
}
