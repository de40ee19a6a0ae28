import { describe, expect, it } from "vitest";
import { formatListenAddress, parseListenAddress } from "../../../src/config/address.js";
import {
  type Config,
  type ConfigOption,
  configOptions,
  fileKeyOf,
  variableOf,
} from "../../../src/config/options.js";
import { configOf, MIB, OVER_POSTGRES, parse, problemsOf, withTier } from "../../support/config/parse.js";

describe("defaults", () => {
  it("listen on loopback alone", () => {
    expect(configOf({})).toMatchObject({
      listen: [{ kind: "tcp", host: "127.0.0.1", port: 50_051 }],
      http: { kind: "tcp", host: "127.0.0.1", port: 9464 },
      healthListen: [],
      adminListen: [],
      socketMode: 0o660,
      log: "memory",
      tier: "none",
      homeservers: [],
      connectionIdleTimeoutMs: 300_000,
      shutdownTimeoutMs: 10_000,
      logLevel: "info",
      logFormat: "auto",
    });
  });

  it("take a quarter of the container's memory limit", () => {
    expect(configOf({ memoryLimitBytes: 2048 * MIB }).memoryBytes).toBe(512 * MIB);
  });

  it("take 256 MiB without a memory limit", () => {
    expect(configOf({}).memoryBytes).toBe(256 * MIB);
  });

  it("take the minimum in a container with little memory", () => {
    expect(configOf({ memoryLimitBytes: 64 * MIB }).memoryBytes).toBe(32 * MIB);
  });
});

describe("sources", () => {
  const all = {
    flags: ["--shutdown-timeout", "7s"],
    environment: { SPLITCACHE_SHUTDOWN_TIMEOUT: "8s", SPLITCACHE_MEMORY: "64MiB" },
    file: "shutdown_timeout: 9s\nmemory: 128MiB\nmetadata_ttl: 2h\n",
  };

  it("let flags override the environment, which overrides the file", () => {
    expect(configOf(all)).toMatchObject({
      shutdownTimeoutMs: 7000,
      memoryBytes: 64 * MIB,
      metadataTtlMs: 7_200_000,
    });
  });

  it("replace a list as a whole", () => {
    const config = configOf({
      environment: { SPLITCACHE_HOMESERVER: "a.example, b.example" },
      file: "homeserver: [c.example, d.example]",
    });
    expect(config.homeservers).toEqual(["a.example", "b.example"]);
  });

  it("read every option from each source alike", () => {
    const defaults = configOf({});
    for (const option of configOptions) {
      const text = EXAMPLES[option.key];
      const flags = COMPANIONS[option.key] ?? [];
      // The option's own flag may be among its companions: the last one counts.
      const fromFlag = configOf({ flags: [...flags, ...flagWords(option, text)] })[option.key];
      const fromVariable = configOf({ flags, environment: { [variableOf(option)]: text } })[option.key];
      const fromFile = configOf({ flags, file: `${fileKeyOf(option)}: ${text}` })[option.key];
      expect(fromFlag, option.name).not.toEqual(defaults[option.key]);
      expect(fromVariable, option.name).toEqual(fromFlag);
      expect(fromFile, option.name).toEqual(fromFlag);
    }
  });

  it("read a repeated flag as a list", () => {
    const { listen } = configOf({ flags: ["--listen", "[::1]:50051", "--listen", "unix:/run/splitcache/s"] });
    expect(listen).toEqual([
      { kind: "tcp", host: "::1", port: 50_051 },
      { kind: "unix", path: "/run/splitcache/s" },
    ]);
  });

  it("read a file mode in YAML as octal digits, as in a flag", () => {
    expect(configOf({ file: "socket_mode: 0600" }).socketMode).toBe(0o600);
  });

  it("use the last value of a repeated flag that takes one value", () => {
    expect(configOf({ flags: ["--memory", "64MiB", "--memory", "96MiB"] }).memoryBytes).toBe(96 * MIB);
  });

  it("treat an empty variable as not set, and ignore the variables of client commands", () => {
    const environment = {
      SPLITCACHE_MEMORY: "",
      SPLITCACHE_ADDRESS: "unix:/s",
      SPLITCACHE_CLIENT_HOMESERVER: "hs.example",
      SPLITCACHE_CONFIG: "c.yaml",
    };
    expect(configOf({ environment })).toEqual(configOf({}));
  });

  it("ignore the variables that Kubernetes sets for a Service called splitcache", () => {
    const environment = {
      SPLITCACHE_SERVICE_HOST: "10.0.0.1",
      SPLITCACHE_REDIS_PORT_6379_TCP_ADDR: "10.0.0.2",
      SPLITCACHE_SERVICE_PORT: "50051",
      SPLITCACHE_SERVICE_PORT_GRPC: "50051",
      SPLITCACHE_PORT: "tcp://10.0.0.1:50051",
      SPLITCACHE_PORT_50051_TCP: "tcp://10.0.0.1:50051",
      SPLITCACHE_PORT_50051_TCP_PROTO: "tcp",
      SPLITCACHE_PORT_50051_TCP_PORT: "50051",
      SPLITCACHE_PORT_50051_TCP_ADDR: "10.0.0.1",
    };
    expect(configOf({ environment })).toEqual(configOf({}));
    expect(problemsOf({ environment: { SPLITCACHE_PORTS: "1" } })).toHaveLength(1);
    expect(problemsOf({ environment: { SPLITCACHE_SERVICE: "1" } })).toHaveLength(1);
  });

  it("accept an empty file", () => {
    expect(configOf({ file: "# nothing yet\n" })).toEqual(configOf({}));
  });
});

it("prints a configuration that reads back unchanged", () => {
  const given = {
    flags: ["--listen", "127.0.0.1:0", "--listen", "unix:/s", "--socket-mode", "0600", "--homeserver", "h"],
    environment: { SPLITCACHE_MEMORY: "64Mi" },
  };
  const { config, yaml } = parse(given);
  expect(configOf({ file: yaml })).toEqual(config);
  expect(yaml).toContain("memory: 64Mi # SPLITCACHE_MEMORY\n");
  expect(yaml).toContain("shutdown_timeout: 10s # default\n");
});

it.each(["127.0.0.1:0", "[::1]:50051", "localhost:9464", "unix:relative/s"])(
  "formats %s as it was read",
  (text) => {
    const address = parseListenAddress(text);
    expect(address && formatListenAddress(address)).toBe(text);
  },
);

/** An option as a flag; one without a placeholder takes no value. */
function flagWords({ name, placeholder }: ConfigOption, text: string): string[] {
  return placeholder === "" ? [`--${name}`] : [`--${name}`, text];
}

/** A value of each option that is not its default. */
const EXAMPLES: Readonly<Record<keyof Config, string>> = {
  listen: "127.0.0.1:1",
  http: "off",
  healthListen: "0.0.0.0:2",
  adminListen: "127.0.0.1:3",
  tlsCertFile: "/cert",
  tlsKeyFile: "/key",
  tlsClientCaFile: "/ca",
  authFile: "/auth.yaml",
  insecure: "true",
  quotas: "hs.example:changes-per-second=9",
  socketMode: "0600",
  memoryBytes: "100MiB",
  metadataTtlMs: "90m",
  log: "postgres://u@db/synapse",
  logPasswordFile: "/p",
  logSchema: "other",
  tier: "redis://r:1/2",
  tierKeyFile: "/k",
  tierTtlMs: "2h",
  tierKeyPrefix: "other",
  tierUsernameFile: "/u",
  tierPasswordFile: "/p",
  tierSentinelUsernameFile: "/su",
  tierSentinelPasswordFile: "/sp",
  tierTlsCaFile: "/c",
  tierTlsCertFile: "/cert",
  tierTlsKeyFile: "/key",
  homeservers: "hs.example",
  homeserversMax: "3",
  subscribersMax: "4",
  readStreamsMax: "5",
  callsInFlightMax: "6",
  bytesInFlightMax: "16777216",
  connectionIdleTimeoutMs: "10m",
  shutdownTimeoutMs: "1.5s",
  traceIds: "true",
  logLevel: "debug",
  logFormat: "console",
};

/** The options that an option requires. */
const COMPANIONS: Partial<Record<keyof Config, readonly string[]>> = {
  tlsCertFile: ["--tls-key-file", "/key"],
  tlsKeyFile: ["--tls-cert-file", "/cert"],
  tlsClientCaFile: ["--tls-cert-file", "/cert", "--tls-key-file", "/key"],
  logPasswordFile: OVER_POSTGRES,
  logSchema: OVER_POSTGRES,
  tier: [...OVER_POSTGRES, "--tier-key-file", "/k"],
  tierKeyFile: [...OVER_POSTGRES, "--tier", "redis://r"],
  tierTtlMs: withTier("redis://r"),
  tierKeyPrefix: withTier("redis://r"),
  tierUsernameFile: [...withTier("redis://r"), "--tier-password-file", "/p"],
  tierPasswordFile: withTier("redis://r"),
  tierSentinelUsernameFile: [...withTier("redis-sentinel://s/main"), "--tier-sentinel-password-file", "/sp"],
  tierSentinelPasswordFile: withTier("redis-sentinel://s/main"),
  tierTlsCaFile: withTier("rediss://r"),
  tierTlsCertFile: [...withTier("rediss://r"), "--tier-tls-key-file", "/key"],
  tierTlsKeyFile: [...withTier("rediss://r"), "--tier-tls-cert-file", "/cert"],
};
