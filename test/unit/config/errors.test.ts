import { describe, expect, it } from "vitest";
import { parseConfig } from "../../../src/config/parse-config.js";
import { problemsOf } from "../../support/config/parse.js";

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
    ["--log-format", "text"],
  ])("refuse %s %j", (flag, value) => {
    expect(problemsOf({ flags: [flag, value] })).toEqual([expect.stringMatching(new RegExp(`^${flag}: `))]);
  });
});

function escapeRegExp(text: string): string {
  return text.replace(/[()[\].]/g, "\\$&");
}
