import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { formatListenAddress, parseListenAddress } from "../../../src/config/address.js";
import { addConfigFlags, configTable, givenFlags } from "../../../src/config/flags.js";
import {
  type Config,
  type ConfigOption,
  configOptions,
  fileKeyOf,
  variableOf,
} from "../../../src/config/options.js";
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

function problemsOf(given: Given): string[] {
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
    for (const option of configOptions) {
      const text = EXAMPLES[option.key];
      const flags = COMPANIONS[option.key] ?? [];
      // The option's own flag may be among its companions: the last one counts.
      const fromFlag = configOf({ flags: [...flags, ...flagWords(option, text)] })[option.key];
      const fromVariable = configOf({ flags, environment: { [variableOf(option)]: text } })[option.key];
      const fromFile = configOf({ flags, file: `${fileKeyOf(option)}: ${text}` })[option.key];
      expect(fromFlag, option.name).not.toEqual(configOf({})[option.key]);
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

describe("errors", () => {
  it("are reported together, each with its place and the valid values", () => {
    const problems = problemsOf({
      flags: ["--colour", "red", "--memory", "3", "--shutdown-timeout=5"],
      environment: { SPLITCACHE_HTTP: "on", SPLITCACHE_TYPO: "1" },
      file: "listen:\n  - nowhere\nlog_level: loud\nshutdown: 3s\n",
    });
    expect(problems).toHaveLength(8);
    expect(problems).toEqual(
      expect.arrayContaining([
        "--colour: is an unknown flag; see splitcache serve --help",
        '--memory: "3" must be a number of bytes, plain or in KiB, MiB or GiB, at least 32MiB; such as 256MiB',
        '--shutdown-timeout: "5" must be a duration with a unit (ms, s, m, h, d) from 0s to 1h, such as 5s',
        'SPLITCACHE_HTTP: "on" must be host:port, [ipv6]:port or off',
        expect.stringMatching(
          /^SPLITCACHE_TYPO: is an unknown variable; valid variables are SPLITCACHE_LISTEN, /,
        ),
        expect.stringMatching(/^listen \(test\.yaml, line 1\): "nowhere" must be host:port/),
        'log_level (test.yaml, line 3): "loud" must be one of debug, info, warn, error, fatal, silent',
        expect.stringMatching(/^shutdown \(test\.yaml, line 4\): is an unknown key; valid keys are listen, /),
      ]),
    );
  });

  it("count even if another source overrides them", () => {
    const problems = problemsOf({ flags: ["--memory", "64MiB"], environment: { SPLITCACHE_MEMORY: "lots" } });
    expect(problems).toHaveLength(1);
  });

  it("include an argument without a flag", () => {
    expect(problemsOf({ flags: ["now"] })).toEqual([
      "an argument without a flag: is not expected; see splitcache serve --help",
    ]);
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
    expect(problemsOf({ file })).toEqual([expect.stringMatching(new RegExp(`^${escapeRegExp(place)}: `))]);
  });

  it("include a file that cannot be read", () => {
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
    ["--memory", "1gb"],
    ["--socket-mode", "0999"],
    ["--socket-mode", "rw"],
    ["--shutdown-timeout", "61m"],
    ["--shutdown-timeout", "2 s"],
    ["--metadata-ttl", "31d"],
    ["--homeservers-max", "0"],
    ["--homeservers-max", "1.5"],
    ["--homeserver", ""],
    ["--homeserver", "x".repeat(256)],
    // Node.js reads a name that is not UTF-8 as this.
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
    expect(problemsOf({ flags: [flag, value] })).toEqual([expect.stringMatching(new RegExp(`^${flag}: `))]);
  });
});

describe("listeners off loopback", () => {
  it.each([
    [[], true],
    [["--insecure"], false],
    [["--auth-file", "/a"], false],
    [["--tls-client-ca-file", "/ca", "--tls-cert-file", "/c", "--tls-key-file", "/k"], false],
    [["--tls-cert-file", "/c", "--tls-key-file", "/k"], true],
  ])("with %j need authentication: %j", (flags, isRefused) => {
    const problem =
      "--listen: 0.0.0.0:1 may be reached from other machines, so it requires --auth-file or --tls-client-ca-file, or --insecure to serve any client";
    const sources = { flags: ["--listen", "unix:/s", "--listen", "0.0.0.0:1", ...flags] };
    if (isRefused) expect(problemsOf(sources)).toEqual([problem]);
    else expect(configOf(sources).listen).toHaveLength(2);
  });

  it("of operators need it even with --insecure", () => {
    const flags = ["--admin-listen", "[::]:2", "--insecure"];
    expect(problemsOf({ flags })).toEqual([
      "--admin-listen: [::]:2 may be reached from other machines, so it requires --auth-file or --tls-client-ca-file",
    ]);
    expect(configOf({ flags: [...flags, "--auth-file", "/a"] }).adminListen).toHaveLength(1);
  });

  it("need certificate and key together, and authorities of clients with both", () => {
    expect(problemsOf({ flags: ["--tls-cert-file", "/c"] })).toEqual([
      "--tls-cert-file: requires --tls-key-file",
    ]);
    expect(problemsOf({ flags: ["--tls-client-ca-file", "/c"] })).toEqual([
      "--tls-client-ca-file: requires --tls-cert-file",
    ]);
  });
});

describe("log and tier", () => {
  it("must fit each other, and each of their options", () => {
    expect(problemsOf({ flags: ["--tier", "redis://r"] })).toEqual([
      "--tier: requires --log postgres://…",
      "--tier: requires --tier-key-file",
    ]);
    const flags = ["--log-password-file", "/p", "--log-schema", "s", "--tier-key-file", "/k"];
    expect(problemsOf({ flags })).toEqual([
      "--log-password-file: requires --log postgres://…",
      "--log-schema: requires --log postgres://…",
      "--tier-key-file: requires --tier",
    ]);
    expect(problemsOf({ flags: [...withTier("redis://r"), "--tier-tls-cert-file", "/c"] })).toEqual([
      "--tier-tls-cert-file: requires --tier rediss://… (or rediss-sentinel, rediss-cluster)",
      "--tier-tls-cert-file: requires --tier-tls-key-file",
    ]);
    expect(problemsOf({ flags: [...withTier("redis://r"), "--tier-sentinel-password-file", "/c"] })).toEqual([
      "--tier-sentinel-password-file: requires --tier redis-sentinel://…",
    ]);
    expect(problemsOf({ flags: withTier("redis://r") })).toEqual([]);
  });

  it("takes missing parameters of a PostgreSQL URL from the variables of libpq", () => {
    const flags = ["--log", "postgres://db/synapse"];
    expect(problemsOf({ flags })).toEqual([expect.stringMatching(/^--log: .*user/)]);
    expect(problemsOf({ flags, environment: { PGUSER: "splitcache" } })).toEqual([]);
  });

  it("reports an ignored password file of libpq, unless another password is given", () => {
    const flags = ["--log", "postgres://splitcache@db/splitcache"];
    const environment = { PGPASSFILE: "/secrets/pgpass" };
    expect(problemsOf({ flags, environment })).toEqual([
      "PGPASSFILE: is not supported; use --log-password-file or PGPASSWORD",
    ]);
    expect(problemsOf({ flags, environment: { ...environment, PGPASSWORD: "secret" } })).toEqual([]);
    const withFile = [...flags, "--log-password-file", "/secrets/password"];
    expect(problemsOf({ flags: withFile, environment })).toEqual([]);
  });

  it.each(["postgres://u:hunter2@db/x", "postgres://u@db/x?password=hunter2"])(
    "refuses the password in %s, and does not print it",
    (url) => {
      const [problem] = problemsOf({ flags: ["--log", url] });
      expect(problem).toMatch(/^--log: .*password/);
      expect(problem).not.toContain("hunter2");
    },
  );
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

describe("the help of serve", () => {
  const help = (helpWidth: number) =>
    addConfigFlags(
      new Command("serve").configureOutput({ getOutHelpWidth: () => helpWidth }),
    ).helpInformation();

  it("shows every option with its names and default, as the table of docs/ does", () => {
    const text = help(80).replace(/\s+/g, " ");
    for (const option of configOptions) {
      expect(text).toContain(`--${option.name} ${option.placeholder}`);
      expect(text).toContain(variableOf(option));
      expect(configTable()).toContain(`\`${variableOf(option)}\``);
    }
    expect(text).toContain("default: a quarter of the container's memory limit");
  });

  it.each([60, 80, 100])("wraps at %i columns", (columns) => {
    const [longest = ""] = help(columns)
      .split("\n")
      .toSorted((a, b) => b.length - a.length);
    expect(longest.length).toBeLessThanOrEqual(columns);
    expect(longest.length).toBeGreaterThan(columns / 2);
  });
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

function escapeRegExp(text: string): string {
  return text.replace(/[()[\].]/g, "\\$&");
}
