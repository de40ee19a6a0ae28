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
import { LOG_FORMATS } from "./log-formats.js";
import { LOG_LEVELS } from "./log-levels.js";
import { count, file, type OptionText, option, optionTexts } from "./option.js";
import { quotaSetting } from "./quotas.js";
import {
  boolean,
  byteSize,
  duration,
  fileMode,
  formatBytes,
  homeserverName,
  keyPrefix,
  listenAddress,
  logUrl,
  oneOf,
  schemaName,
  tcpAddress,
  tcpAddressOrOff,
  tierUrl,
} from "./values.js";

const MEMORY_MIN = formatBytes(MEMORY_BUDGET_BYTES_MIN);

/** The options of `splitcache serve`. This schema validates every source; help and docs/ derive from it. */
export const configSchema = z.strictObject({
  listen: option(
    z.array(listenAddress()).min(1),
    "listen <address>",
    "Serves gRPC at host:port, [ipv6]:port or unix:path. Port 0 selects a free port",
    { default: "127.0.0.1:50051", several: true },
  ),
  http: option(
    tcpAddressOrOff(),
    "http <address>",
    "Serves the status page, /livez, /readyz and /metrics over HTTP at host:port; off disables it",
    { default: "127.0.0.1:9464" },
  ),
  healthListen: option(
    z.array(tcpAddress()),
    "health-listen <address>",
    "Serves only grpc.health.v1, /livez and /readyz at host:port, for probes from other machines",
    { several: true },
  ),
  adminListen: option(
    z.array(listenAddress()),
    "admin-listen <address>",
    "Serves AdminService for operators at host:port, [ipv6]:port or unix:path; off loopback only with authentication",
    { several: true },
  ),
  tlsCertFile: file(
    "tls-cert-file <path>",
    "the server certificate and its chain, in PEM, and requires TLS on every TCP listener except --health-listen,",
  ),
  tlsKeyFile: file(
    "tls-key-file <path>",
    "the private key of the server certificate, in PEM, without a passphrase,",
  ),
  tlsClientCaFile: file(
    "tls-client-ca-file <path>",
    "the certificates, in PEM, of the authorities that are trusted for client certificates " +
      "(without --auth-file every client must present a certificate, and each may do everything)",
  ),
  authFile: file(
    "auth-file <path>",
    "the clients, their credentials, roles and homeservers, in YAML, and requires credentials for every call,",
  ),
  insecure: option(boolean(), "insecure", "Lets --listen serve other machines without authentication", {
    default: "false",
  }),
  socketMode: option(
    fileMode(),
    "socket-mode <mode>",
    "Sets the file mode of Unix sockets, in octal digits",
    {
      default: "0660",
    },
  ),
  memoryBytes: option(
    byteSize(MEMORY_BUDGET_BYTES_MIN),
    "memory <bytes>",
    `Limits the memory of events, metadata and logs together, in KiB, MiB or GiB; at least ${MEMORY_MIN}`,
    { defaultNote: "a quarter of the container's memory limit, 256MiB without a limit" },
  ),
  metadataTtlMs: option(
    duration("1s", "30d").optional(),
    "metadata-ttl <duration>",
    "Limits how long an event is served after its put, as a backstop for changes that are not announced",
    { defaultNote: "1h, 24h with a PostgreSQL log" },
  ),
  log: option(
    logUrl(),
    "log <url>",
    "Selects the invalidation log: memory (in this process, for one sidecar) or " +
      "postgres://user@host:port/database (shared: any number of sidecars form one cache)",
    { default: "memory" },
  ),
  logPasswordFile: file("log-password-file <path>", "the password of the PostgreSQL role", "PGPASSWORD"),
  logSchema: option(
    schemaName(),
    "log-schema <name>",
    "Names the schema of the log's tables in PostgreSQL. Sidecars that share it form one cache",
    { default: "splitcache" },
  ),
  tier: option(
    tierUrl(),
    "tier <url>",
    "Keeps entries in Redis or Valkey for sidecars that start: redis://host:port[/database], " +
      "redis-sentinel://host:port,…/primary[/database] or redis-cluster://host:port,…; rediss… for TLS. " +
      "Requires --log postgres://…",
    { default: "none" },
  ),
  tierKeyFile: file(
    "tier-key-file <path>",
    "the secret that authenticates entries of the tier (at least 32 characters, the same for all sidecars)",
  ),
  tierTtlMs: option(
    duration("1m", "7d"),
    "tier-ttl <duration>",
    "Limits how long the tier keeps an entry after it was last written",
    { default: "1h" },
  ),
  tierKeyPrefix: option(keyPrefix(), "tier-key-prefix <text>", "Sets the prefix of all keys in the tier", {
    default: "splitcache",
  }),
  tierUsernameFile: file("tier-username-file <path>", "the user name for Redis"),
  tierPasswordFile: file("tier-password-file <path>", "the password for Redis"),
  tierSentinelUsernameFile: file(
    "tier-sentinel-username-file <path>",
    "the user name for Sentinels, which never receive the credentials for Redis,",
  ),
  tierSentinelPasswordFile: file("tier-sentinel-password-file <path>", "the password for Sentinels"),
  tierTlsCaFile: file(
    "tier-tls-ca-file <path>",
    "the certificates, in PEM, of the authorities that are trusted for Redis",
    "the system's",
  ),
  tierTlsCertFile: file("tier-tls-cert-file <path>", "the client certificate for Redis, in PEM,"),
  tierTlsKeyFile: file(
    "tier-tls-key-file <path>",
    "the private key of that certificate, in PEM, without a passphrase,",
  ),
  homeservers: option(
    z.array(homeserverName()),
    "homeserver <name>",
    "Serves only the homeservers that this option names",
    { defaultNote: "any homeserver", several: true },
  ),
  quotas: option(
    z.array(quotaSetting()),
    "quota <limit>",
    "Limits or protects one homeserver, or each (*): NAME:limit=value. Limits: memory-min (part of --memory " +
      "that is protected), memory-max, calls-in-flight-max, bytes-in-flight-max, subscribers-max, " +
      "read-streams-max, changes-per-second",
    {
      defaultNote:
        "equal shares of the memory; a quarter of each other capacity while several homeservers are active",
      several: true,
    },
  ),
  homeserversMax: count("homeservers-max", 10_000, HOMESERVERS_MAX, "homeservers in the cache"),
  subscribersMax: count("subscribers-max", 100_000, SUBSCRIBERS_MAX, "concurrent subscribers"),
  readStreamsMax: count("read-streams-max", 100_000, READ_STREAMS_MAX, "concurrent GetEventsStream calls"),
  callsInFlightMax: count(
    "calls-in-flight-max",
    100_000,
    CALLS_IN_FLIGHT_MAX,
    "calls whose reply is not yet sent",
  ),
  bytesInFlightMax: option(
    byteSize(4 * REQUEST_BYTES_MAX),
    "bytes-in-flight-max <bytes>",
    "Limits the bytes of requests and unsent replies, in addition to --memory",
    { default: formatBytes(BYTES_IN_FLIGHT_MAX) },
  ),
  connectionIdleTimeoutMs: option(
    duration("1s", "30d"),
    "connection-idle-timeout <duration>",
    "Closes a gRPC connection after this time without a call; clients reconnect for their next call",
    { default: "5m" },
  ),
  shutdownTimeoutMs: option(
    duration("0s", "1h"),
    "shutdown-timeout <duration>",
    "Limits how long calls in flight may take to finish after SIGTERM. " +
      "Keep it below the grace period of Kubernetes, which is 30s by default",
    { default: "10s" },
  ),
  traceIds: option(boolean(), "trace-ids", "Adds the IDs of rooms and events to traces", {
    default: "false",
  }),
  logLevel: option(
    oneOf(LOG_LEVELS),
    "log-level <level>",
    `Sets the least severe level of log lines: ${LOG_LEVELS.join(", ")}`,
    { default: "info" },
  ),
  logFormat: option(
    oneOf(LOG_FORMATS),
    "log-format <format>",
    "Sets the format of log lines: json, console (for people), or auto (console on a terminal, else json)",
    { default: "auto" },
  ),
});

/** How the sidecar runs. Times are in milliseconds. */
export type Config = Readonly<z.output<typeof configSchema>>;

export type ConfigKey = keyof Config;

/** An option, with its key in Config. */
export interface ConfigOption extends OptionText {
  readonly key: ConfigKey;
}

/** All options, in the order of the help and of docs/. */
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

function textOf(key: ConfigKey): OptionText {
  const text = optionTexts.get(configSchema.shape[key]);
  if (text === undefined) throw new Error(`option ${key} has no text`);
  return text;
}
