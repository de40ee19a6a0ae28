import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { formatListenAddress, parseListenAddress } from "../../../src/config/address.js";
import { configTable } from "../../../src/config/config-table.js";
import { addConfigFlags, givenFlags } from "../../../src/config/flags.js";
import { type Config, configOptions, fileKeyOf, variableOf } from "../../../src/config/options.js";
import { ConfigError, type ConfigSources, parseConfig } from "../../../src/config/parse-config.js";

interface Given {
  readonly flags?: readonly string[];
  readonly environment?: ConfigSources["environment"];
  readonly file?: string;
  readonly memoryLimitBytes?: number;
}

function parse({ flags = [], environment = {}, file, memoryLimitBytes }: Given) {
  const command = addConfigFlags(new Command("serve")).exitOverride();
  command.parse([...flags], { from: "user" });
  return parseConfig({
    flags: givenFlags(command),
    environment,
    file: file === undefined ? undefined : { path: "test.yaml", text: file },
    memoryLimitBytes,
  });
}

const configOf = (given: Given): Config => parse(given).config;

function mistakesOf(given: Given): string[] {
  try {
    parse(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
}

const MIB = 2 ** 20;

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
    });
  });

  it("take a quarter of the container's memory limit", () => {
    expect(configOf({ memoryLimitBytes: 2048 * MIB }).memoryBytes).toBe(512 * MIB);
  });

  it("take 256 MiB where there is no memory limit", () => {
    expect(configOf({}).memoryBytes).toBe(256 * MIB);
  });

  it("take the least budget in a container with very little memory", () => {
    expect(configOf({ memoryLimitBytes: 64 * MIB }).memoryBytes).toBe(32 * MIB);
  });
});

describe("sources", () => {
  const all = {
    flags: ["--shutdown-timeout", "7s"],
    environment: { SPLITCACHE_SHUTDOWN_TIMEOUT: "8s", SPLITCACHE_MEMORY: "64MiB" },
    file: "shutdown_timeout: 9s\nmemory: 128MiB\nmetadata_ttl: 2h\n",
  };

  it("let flags win over the environment, and that over the file", () => {
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

  it("read every option from each of them alike", () => {
    for (const option of configOptions) {
      const text = EXAMPLES[option.key];
      const flags = COMPANIONS[option.key] ?? [];
      // The option's own flag may be among its companions' requirements: the last one counts.
      const fromFlag = configOf({ flags: [...flags, `--${option.name}`, text] })[option.key];
      const fromVariable = configOf({ flags, environment: { [variableOf(option)]: text } })[option.key];
      const fromFile = configOf({ flags, file: `${fileKeyOf(option)}: ${text}` })[option.key];
      expect(fromFlag, option.name).not.toEqual(configOf({})[option.key]);
      expect(fromVariable, option.name).toEqual(fromFlag);
      expect(fromFile, option.name).toEqual(fromFlag);
    }
  });

  it("read a flag that is given several times as a list", () => {
    const { listen } = configOf({ flags: ["--listen", "[::1]:50051", "--listen", "unix:/run/splitcache/s"] });
    expect(listen).toEqual([
      { kind: "tcp", host: "::1", port: 50_051 },
      { kind: "unix", path: "/run/splitcache/s" },
    ]);
  });

  it("read a file mode in YAML as octal digits, as in a flag", () => {
    expect(configOf({ file: "socket_mode: 0600" }).socketMode).toBe(0o600);
  });

  it("let the last of a flag given twice count", () => {
    expect(configOf({ flags: ["--memory", "64MiB", "--memory", "96MiB"] }).memoryBytes).toBe(96 * MIB);
  });

  it("count an empty variable as not set, and leave the variables of client commands alone", () => {
    const environment = {
      SPLITCACHE_MEMORY: "",
      SPLITCACHE_ADDRESS: "unix:/s",
      SPLITCACHE_CLIENT_HOMESERVER: "hs.example",
      SPLITCACHE_CONFIG: "c.yaml",
    };
    expect(configOf({ environment })).toEqual(configOf({}));
  });

  it("pass over what Kubernetes sets beside a Service called splitcache", () => {
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
    expect(mistakesOf({ environment: { SPLITCACHE_PORTS: "1" } })).toHaveLength(1);
    expect(mistakesOf({ environment: { SPLITCACHE_SERVICE: "1" } })).toHaveLength(1);
  });

  it("take an empty file as no settings", () => {
    expect(configOf({ file: "# nothing yet\n" })).toEqual(configOf({}));
  });
});

describe("mistakes", () => {
  it("are all reported at once, each with its place and what is allowed", () => {
    const mistakes = mistakesOf({
      flags: ["--colour", "red", "--memory", "3", "--shutdown-timeout=5"],
      environment: { SPLITCACHE_HTTP: "on", SPLITCACHE_TYPO: "1" },
      file: "listen:\n  - nowhere\nlog_level: loud\nshutdown: 3s\n",
    });
    expect(mistakes).toHaveLength(8);
    expect(mistakes).toEqual(
      expect.arrayContaining([
        "--colour: is not a known flag; see splitcache serve --help",
        '--memory: "3" must be bytes, such as 256MiB or 1GiB, at least 32MiB',
        '--shutdown-timeout: "5" must be a duration with its unit (ms, s, m, h or d), from 0s to 1h',
        'SPLITCACHE_HTTP: "on" must be host:port, [ipv6]:port or off',
        expect.stringMatching(/^SPLITCACHE_TYPO: is not known; known are SPLITCACHE_LISTEN, /),
        expect.stringMatching(/^listen \(test\.yaml, line 1\): "nowhere" must be host:port/),
        'log_level (test.yaml, line 3): "loud" must be one of debug, info, warn, error, fatal, silent',
        expect.stringMatching(/^shutdown \(test\.yaml, line 4\): is not known; known are listen, /),
      ]),
    );
  });

  it("count even where another source wins", () => {
    const mistakes = mistakesOf({ flags: ["--memory", "64MiB"], environment: { SPLITCACHE_MEMORY: "lots" } });
    expect(mistakes).toHaveLength(1);
  });

  it("name an argument that is no flag", () => {
    expect(mistakesOf({ flags: ["now"] })).toEqual(["an argument that follows no flag: is not expected"]);
  });

  it.each([
    ["listen: []", "listen (test.yaml, line 1)"],
    ["memory: [64MiB]", "memory (test.yaml, line 1)"],
    ["memory:", "memory (test.yaml, line 1)"],
    ["memory: {a: 1}", "memory (test.yaml, line 1)"],
    ["- memory", "test.yaml"],
    ["memory: 64MiB\nmemory: 64MiB", "test.yaml, line 2"],
    ["memory: [", "test.yaml, line 1"],
  ])("refuse the file %j", (file, place) => {
    expect(mistakesOf({ file })).toEqual([expect.stringMatching(new RegExp(`^${escapeRegExp(place)}: `))]);
  });

  it("name a file that cannot be read", () => {
    const sources = {
      flags: { texts: new Map(), unknown: [] },
      environment: {},
      memoryLimitBytes: undefined,
    };
    expect(() => parseConfig({ ...sources, file: { path: "gone.yaml", problem: "cannot be read" } })).toThrow(
      "gone.yaml: cannot be read",
    );
  });

  it.each([
    ["--memory", "31MiB"],
    ["--memory", "1e9"],
    ["--memory", "64MB"],
    ["--socket-mode", "0999"],
    ["--socket-mode", "rw"],
    ["--shutdown-timeout", "61m"],
    ["--shutdown-timeout", "2 s"],
    ["--metadata-ttl", "31d"],
    ["--homeservers-max", "0"],
    ["--homeservers-max", "1.5"],
    ["--homeserver", ""],
    ["--homeserver", "x".repeat(256)],
    // What Node.js makes of a name that is not UTF-8.
    ["--homeserver", "x\ufffd"],
    ["--listen", "127.0.0.1"],
    ["--listen", "127.0.0.1:65536"],
    ["--listen", "::1:80"],
    ["--listen", "[127.0.0.1]:80"],
    ["--listen", "unix:"],
    ["--listen", `unix:/${"x".repeat(103)}`],
    ["--http", "unix:/s"],
    ["--health-listen", "off"],
    ["--admin-listen", "0.0.0.0:1"],
    ["--admin-listen", "localhost:1"],
    ["--log-level", "trace"],
  ])("refuse %s %j", (flag, value) => {
    expect(mistakesOf({ flags: [flag, value] })).toEqual([expect.stringMatching(new RegExp(`^${flag}: `))]);
  });
});

describe("log and tier", () => {
  it("must fit each other, and each option what it is for", () => {
    expect(mistakesOf({ flags: ["--tier", "redis://r"] })).toEqual([
      "--tier: requires a --log of postgres://…",
      "--tier: requires --tier-key-file",
    ]);
    const flags = ["--log-password-file", "/p", "--log-schema", "s", "--tier-key-file", "/k"];
    expect(mistakesOf({ flags })).toEqual([
      "--log-password-file: requires a --log of postgres://…",
      "--log-schema: requires a --log of postgres://…",
      "--tier-key-file: requires a --tier",
    ]);
    expect(mistakesOf({ flags: [...withTier("redis://r"), "--tier-tls-cert-file", "/c"] })).toEqual([
      "--tier-tls-cert-file: requires a --tier that begins with rediss",
      "--tier-tls-cert-file: requires --tier-tls-key-file",
    ]);
    expect(mistakesOf({ flags: [...withTier("redis://r"), "--tier-sentinel-password-file", "/c"] })).toEqual([
      "--tier-sentinel-password-file: requires a --tier of Sentinels",
    ]);
    expect(mistakesOf({ flags: withTier("redis://r") })).toEqual([]);
  });

  it("takes what a URL of PostgreSQL leaves out from the variables of PostgreSQL clients", () => {
    const flags = ["--log", "postgres://db/synapse"];
    expect(mistakesOf({ flags })).toEqual([expect.stringMatching(/^--log: .*user/)]);
    expect(mistakesOf({ flags, environment: { PGUSER: "splitcache" } })).toEqual([]);
  });

  it("reports a password file of libpq, which is not read, unless another password is given", () => {
    const flags = ["--log", "postgres://splitcache@db/splitcache"];
    const environment = { PGPASSFILE: "/secrets/pgpass" };
    expect(mistakesOf({ flags, environment })).toEqual([
      "PGPASSFILE: is not read; use --log-password-file or PGPASSWORD",
    ]);
    expect(mistakesOf({ flags, environment: { ...environment, PGPASSWORD: "secret" } })).toEqual([]);
    const withFile = [...flags, "--log-password-file", "/secrets/password"];
    expect(mistakesOf({ flags: withFile, environment })).toEqual([]);
  });

  it.each(["postgres://u:hunter2@db/x", "postgres://u@db/x?password=hunter2"])(
    "refuses the password in %s, and does not print it",
    (url) => {
      const [mistake] = mistakesOf({ flags: ["--log", url] });
      expect(mistake).toMatch(/^--log: .*password/);
      expect(mistake).not.toContain("hunter2");
    },
  );
});

it("prints a configuration that reads back as the same", () => {
  const given = {
    flags: ["--listen", "127.0.0.1:0", "--listen", "unix:/s", "--socket-mode", "0600", "--homeserver", "h"],
    environment: { SPLITCACHE_MEMORY: "64Mi" },
  };
  const { config, yaml } = parse(given);
  expect(configOf({ file: yaml })).toEqual(config);
  expect(yaml).toContain("memory: 64Mi # SPLITCACHE_MEMORY\n");
  expect(yaml).toContain("shutdown_timeout: 10s # default\n");
});

it("shows every option in the help and in the table, with its names and default", () => {
  const help = addConfigFlags(new Command("serve")).helpInformation().replace(/\s+/g, " ");
  for (const option of configOptions) {
    expect(help).toContain(`--${option.name} ${option.placeholder}`);
    expect(help).toContain(variableOf(option));
    expect(configTable()).toContain(`\`${variableOf(option)}\``);
  }
  expect(help).toContain("default: a quarter of the container's memory limit");
});

it.each(["127.0.0.1:0", "[::1]:50051", "localhost:9464", "unix:relative/s"])(
  "formats %s as it was",
  (text) => {
    const address = parseListenAddress(text);
    expect(address && formatListenAddress(address)).toBe(text);
  },
);

/** A value for each option that is not its default. */
const EXAMPLES: Readonly<Record<keyof Config, string>> = {
  listen: "127.0.0.1:1",
  http: "off",
  healthListen: "0.0.0.0:2",
  adminListen: "127.0.0.1:3",
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
  logLevel: "debug",
};

const OVER_POSTGRES = ["--log", "postgres://u@db/synapse"];
const withTier = (url: string) => [...OVER_POSTGRES, "--tier", url, "--tier-key-file", "/k"];

/** What an option requires. */
const COMPANIONS: Partial<Record<keyof Config, readonly string[]>> = {
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

function escapeRegExp(text: string): string {
  return text.replace(/[()[\].]/g, "\\$&");
}
