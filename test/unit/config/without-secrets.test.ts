import { Command } from "commander";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addConfigFlags, givenFlags } from "../../../src/config/flags.js";
import { ConfigError, parseConfig } from "../../../src/config/parse-config.js";
import { withoutSecrets } from "../../../src/config/without-secrets.js";

describe("a text without its secrets", () => {
  it.each([
    ["redis://user:hunter2@r.example:6379/0", "redis://…@r.example:6379/0"],
    ["redis://:hunter2@r", "redis://…@r"],
    ["postgres://u:hun/ter2@db/main", "postgres://…@db/main"],
    ["postgres://u:hun@ter2@db/main", "postgres://…@db/main"],
    ["postgres://u:hun ter2?#@db", "postgres://…@db"],
    ["postgres://db/main?user=u&password=hunter2", "postgres://db/main?…"],
    ["postgres://a:1,b:2/main#hunter2", "postgres://a:1,b:2/main#…"],
    ["redis://user:hunter2", "redis://…"],
    ["redis://:hunter2", "redis://…"],
    ['cannot open "redis://u:hunter2@[::1]:1": no', 'cannot open "redis://…@[::1]:1": no'],
    ["host=db password=hunter2 dbname=x", "host=db password=… dbname=x"],
    ["host=db PASSWORD = 'hunter2 hunter3'", "host=db PASSWORD = …"],
    ['{"password": "hunter2"}', '{"password": …}'],
    ["token: hunter2", "token: …"],
    ["authorization: Bearer hunter2.x-y", "authorization: Bearer …"],
  ])("has no user, password or query: %s", (text, shown) => {
    expect(withoutSecrets(text)).toBe(shown);
  });

  it.each([
    "127.0.0.1:50051",
    "redis-sentinel://a:26379,b:26379/main/0",
    "/etc/splitcache/password",
    "@user:server.example",
    "at f (file:///app/node_modules/@grpc/grpc-js/build/src/server.js:1:2)",
  ])("is unchanged without them: %s", (text) => {
    expect(withoutSecrets(text)).toBe(text);
  });
});

it("shows the start of a long text, and nothing of a URL at the cut", () => {
  expect(withoutSecrets("x".repeat(50_000))).toBe(`${"x".repeat(4096)}…`);
  const cut = withoutSecrets(`${"x ".repeat(2000)}redis://user:${"1".repeat(200)}@r`);
  expect(cut).toBe(`${"x ".repeat(2000)}redis://…`);
});

it.each(["log", "tier"])("hides a value that may be a password: %s", (option) => {
  const sources = { environment: {}, file: undefined, memoryLimitBytes: undefined };
  const flags = { texts: new Map([[option, ["hunter2"]]]), unknown: ["hunter2"] };
  const problems = (): string => {
    try {
      parseConfig({ ...sources, flags });
      return "";
    } catch (error) {
      return String(error);
    }
  };
  expect(problems()).toContain(`--${option}: must be`);
  expect(problems()).not.toContain("hunter2");
});

it("shows only the safe part of an invalid value", () => {
  const flags = { texts: new Map([["log-level", ["redis//u:hunter2@r"]]]), unknown: [] };
  expect(() => parseConfig({ flags, environment: {}, file: undefined, memoryLimitBytes: undefined })).toThrow(
    '--log-level: "…@r" must be one of debug, info, warn, error, fatal, silent',
  );
});

describe("a configuration with a password in the wrong place", () => {
  const password = fc
    .string({
      unit: fc.oneof(fc.constantFrom(..."@:/?#,[]% '\"\\\n\t"), fc.constantFrom(..."XYZ")),
      minLength: 6,
    })
    .map((text) => `Q${text}Q`);
  const command = () => addConfigFlags(new Command("serve")).exitOverride();
  const places: Record<string, (url: string) => Partial<Parameters<typeof parseConfig>[0]>> = {
    "as the value of a flag": (url) => ({
      flags: givenFlags(command().parse(["--log", url, "--log-level", url, "--tier", url], { from: "user" })),
    }),
    "as an argument": (url) => ({ flags: givenFlags(command().parse([url], { from: "user" })) }),
    "as the value of an unknown flag": (url) => ({
      flags: givenFlags(command().parse([`--log=${url}`], { from: "user" })),
    }),
    "in the environment": (url) => ({ environment: { SPLITCACHE_STORE: url, SPLITCACHE_MEMORY: url } }),
    "in the file": (url) => ({ file: { path: "f", text: `store: ${JSON.stringify(url)}\n` } }),
    // A line of its own would be a key.
    "in the file, without quotes": (url) => ({
      file: { path: "f", text: `store: ${url.replaceAll("\n", " ")}\n` },
    }),
    "as a key of the file": (url) => ({ file: { path: "f", text: `${JSON.stringify(url)}: 1\n` } }),
    "in a file that is no YAML": (url) => ({ file: { path: "f", text: `store: *${url}\n\t- !<${url}\n` } }),
    "in the path of the file": (url) => ({ file: { path: url, problem: "cannot be read" } }),
  };

  it.each(Object.keys(places))("never prints it: %s", (place) => {
    fc.assert(
      fc.property(password, (secret) => {
        const sources = {
          flags: { texts: new Map(), unknown: [] },
          environment: {},
          file: undefined,
          memoryLimitBytes: undefined,
          ...places[place]!(`postgres://user:${secret}@db.example/main`),
        };
        let text: string;
        try {
          text = parseConfig(sources).yaml;
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          text = error.message + JSON.stringify(error.problems);
        }
        expect(text).not.toMatch(/[QXYZ]{2}/);
      }),
      { numRuns: 300 },
    );
  });

  it("prints a path without it where a URL was given instead", () => {
    const flags = new Map([["tier-key-file", ["redis://u:hunter2@r"]]]);
    const environment = { SPLITCACHE_LOG: "postgres://u@db/x", SPLITCACHE_TIER: "redis://r" };
    const sources = { flags: { texts: flags, unknown: [] }, environment, file: undefined };
    const { config, yaml } = parseConfig({ ...sources, memoryLimitBytes: undefined });
    expect(config.tierKeyFile).toBe("redis://u:hunter2@r");
    expect(yaml).toContain("tier_key_file: redis://…@r # --tier-key-file\n");
  });
});
