import { z } from "zod";
import {
  BYTES_IN_FLIGHT_MAX,
  CALLS_IN_FLIGHT_MAX,
  HOMESERVERS_MAX,
  MEMORY_BUDGET_BYTES_MIN,
  READ_STREAMS_MAX,
  REQUEST_BYTES_MAX,
  SUBSCRIBERS_MAX,
} from "../core/model/limits.js";
import { LOG_LEVELS } from "./log-levels.js";
import { logOptions } from "./log-options.js";
import { type OptionText, optionTexts } from "./option-text.js";
import { tierOptions } from "./tier-options.js";
import {
  byteSize,
  duration,
  fileMode,
  formatBytes,
  homeserverName,
  integer,
  listenAddress,
  localAddress,
  oneOf,
  tcpAddress,
  tcpAddressOrOff,
} from "./values.js";

/** The options of `splitcache serve`: this schema validates every source, and makes the help and the README. */
export const configSchema = z.strictObject({
  listen: z
    .array(listenAddress())
    .min(1)
    .register(optionTexts, {
      name: "listen",
      placeholder: "<address>",
      description: "Serves gRPC at host:port, [ipv6]:port or unix:path. Port 0 takes a free port",
      defaults: ["127.0.0.1:50051"],
      several: true,
    }),
  http: tcpAddressOrOff().register(optionTexts, {
    name: "http",
    placeholder: "<address>",
    description: "Serves /livez, /readyz and /metrics over HTTP at host:port; off turns it off",
    defaults: ["127.0.0.1:9464"],
  }),
  healthListen: z.array(tcpAddress()).register(optionTexts, {
    name: "health-listen",
    placeholder: "<address>",
    description:
      "Serves nothing but grpc.health.v1, /livez and /readyz at host:port, for probes from outside",
    defaults: [],
    several: true,
  }),
  adminListen: z.array(localAddress()).register(optionTexts, {
    name: "admin-listen",
    placeholder: "<address>",
    description:
      "Serves AdminService for operators at a loopback host:port, [::1]:port or unix:path; it takes no credentials",
    defaults: [],
    several: true,
  }),
  socketMode: fileMode().register(optionTexts, {
    name: "socket-mode",
    placeholder: "<mode>",
    description: "File mode of Unix sockets, in octal digits",
    defaults: ["0660"],
  }),
  memoryBytes: byteSize(MEMORY_BUDGET_BYTES_MIN).register(optionTexts, {
    name: "memory",
    placeholder: "<bytes>",
    description: `Budget of events, metadata and logs together, such as 256MiB; at least ${formatBytes(MEMORY_BUDGET_BYTES_MIN)}`,
    defaults: [],
    defaultNote: "a quarter of the container's memory limit, 256MiB without one",
  }),
  metadataTtlMs: duration("1s", "30d").optional().register(optionTexts, {
    name: "metadata-ttl",
    placeholder: "<duration>",
    description:
      "How long an event is served after its put: the last backstop for changes that nobody announces",
    defaults: [],
    defaultNote: "1h, 24h with a PostgreSQL log",
  }),
  ...logOptions,
  ...tierOptions,
  homeservers: z.array(homeserverName()).register(optionTexts, {
    name: "homeserver",
    placeholder: "<name>",
    description: "Serves this homeserver and no others but those named likewise",
    defaults: [],
    defaultNote: "any homeserver",
    several: true,
  }),
  homeserversMax: integer(1, 10_000).register(optionTexts, {
    name: "homeservers-max",
    placeholder: "<count>",
    description: "Homeservers at once",
    defaults: [String(HOMESERVERS_MAX)],
  }),
  subscribersMax: integer(1, 100_000).register(optionTexts, {
    name: "subscribers-max",
    placeholder: "<count>",
    description: "Subscribers at once",
    defaults: [String(SUBSCRIBERS_MAX)],
  }),
  readStreamsMax: integer(1, 100_000).register(optionTexts, {
    name: "read-streams-max",
    placeholder: "<count>",
    description: "GetEventsStream calls at once",
    defaults: [String(READ_STREAMS_MAX)],
  }),
  callsInFlightMax: integer(1, 100_000).register(optionTexts, {
    name: "calls-in-flight-max",
    placeholder: "<count>",
    description: "Calls at once, each from its headers until its reply has left",
    defaults: [String(CALLS_IN_FLIGHT_MAX)],
  }),
  bytesInFlightMax: byteSize(4 * REQUEST_BYTES_MAX).register(optionTexts, {
    name: "bytes-in-flight-max",
    placeholder: "<bytes>",
    description: "Bytes of requests and unsent replies at once, beside the memory budget",
    defaults: [formatBytes(BYTES_IN_FLIGHT_MAX)],
  }),
  connectionIdleTimeoutMs: duration("1s", "30d").register(optionTexts, {
    name: "connection-idle-timeout",
    placeholder: "<duration>",
    description:
      "How long a gRPC connection may be open without a call; clients connect again for their next one",
    defaults: ["5m"],
  }),
  shutdownTimeoutMs: duration("0s", "1h").register(optionTexts, {
    name: "shutdown-timeout",
    placeholder: "<duration>",
    description:
      "How long calls in flight may take to finish after SIGTERM; less than Kubernetes' 30s of grace",
    defaults: ["10s"],
  }),
  logLevel: oneOf(LOG_LEVELS).register(optionTexts, {
    name: "log-level",
    placeholder: "<level>",
    description: `Least severe log lines to write: ${LOG_LEVELS.join(", ")}`,
    defaults: ["info"],
  }),
});

/** How the sidecar runs. Times are in milliseconds. */
export type Config = Readonly<z.output<typeof configSchema>>;

export type ConfigKey = keyof Config;

/** An option: its place in Config, and its words. */
export interface ConfigOption extends OptionText {
  readonly key: ConfigKey;
}

/** All options, in the order in which help and README show them. */
export const configOptions: readonly ConfigOption[] = configSchema
  .keyof()
  .options.map((key) => ({ key, ...textOf(key) }));

/** The flag for an option. */
export function flagOf(key: ConfigKey): string {
  return `--${textOf(key).name}`;
}

/** The name of the environment variable for an option. */
export function variableOf({ name }: OptionText): string {
  return `SPLITCACHE_${name.replaceAll("-", "_").toUpperCase()}`;
}

/** The key of an option in the configuration file. */
export function fileKeyOf({ name }: OptionText): string {
  return name.replaceAll("-", "_");
}

/** What stands for an option that is not given, in words. */
export function defaultOf({ defaults, defaultNote }: OptionText): string {
  return defaultNote ?? (defaults.length === 0 ? "none" : defaults.join(", "));
}

function textOf(key: ConfigKey): OptionText {
  const text = optionTexts.get(configSchema.shape[key]);
  if (text === undefined) throw new Error(`option ${key} is not described`);
  return text;
}
