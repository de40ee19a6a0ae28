import { Command } from "commander";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addConfigFlags, givenFlags } from "../../../src/config/flags.js";
import { ConfigError, parseConfig } from "../../../src/config/parse-config.js";

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
});
