import { describe, expect, it } from "vitest";
import { parseConfig } from "../../../src/config/parse-config.js";
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
  it("prints a path without it where a URL was given instead", () => {
    const flags = new Map([["tier-key-file", ["redis://u:hunter2@r"]]]);
    const environment = { SPLITCACHE_LOG: "postgres://u@db/x", SPLITCACHE_TIER: "redis://r" };
    const sources = { flags: { texts: flags, unknown: [] }, environment, file: undefined };
    const { config, yaml } = parseConfig({ ...sources, memoryLimitBytes: undefined });
    expect(config.tierKeyFile).toBe("redis://u:hunter2@r");
    expect(yaml).toContain("tier_key_file: redis://…@r # --tier-key-file\n");
  });
});
