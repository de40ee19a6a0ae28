import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { ExitCode } from "../../../src/cli/exit-code.js";
import { useCliSidecar } from "../../support/cli/cli-sidecar.js";
import { runCli } from "../../support/cli/run-cli.js";

const sidecar = useCliSidecar();
const { run } = sidecar;

describe("errors", () => {
  it("name each field that the sidecar refuses, once", async () => {
    const { code, stderr } = await run(["get", "-H", "example.org", "x".repeat(1021)]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        "splitcache: the sidecar refused the request: event_ids[0] must have at most 1020 bytes, has 1021\n",
    });
  });

  it.each([
    [["get", "--no-such-flag"], /unknown option/],
    [["get", "--timeout", "soon"], /Expected a duration with a unit \(ms, s, m, h, d\) from 1ms to 24d/],
    [["get", "--address", "nonsense"], /Expected host:port or \[ipv6\]:port/],
    [["get", "--address", "host:99999"], /with a port from 1 to 65535/],
    [["get", "-o", "table"], /Expected text or json/],
    [["stats", "--http", "https://host:1"], /Expected host:port or http:/],
    [["redact", "$one"], /required option '--by/],
    [["get", "-H", ""], /name the homeserver with --homeserver or SPLITCACHE_CLIENT_HOMESERVER/],
    [
      ["put", "/nowhere.jsonl"],
      /^splitcache: \/nowhere.jsonl cannot be read: ENOENT: no such file or directory\n$/,
    ],
    [["put", tmpdir()], / cannot be read: EISDIR: illegal operation on a directory\n$/],
    [["put", "--as-of", "7"], /Expected a position/],
    [["watch", "--for", "25d"], /Expected a duration .* to 24d/],
    [["watch", "--count", "0"], /Expected a whole number/],
  ])("of usage exit with 2: %j", async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it("include a missing homeserver, even if the environment of serve names some", async () => {
    const env = { SPLITCACHE_ADDRESS: sidecar.server.address, SPLITCACHE_HOMESERVER: "example.org" };
    expect((await run(["get", "$one"], { env })).code).toBe(2);
  });

  it("name the address where nothing answers, and exit with 4", async () => {
    const { code, stderr } = await run(["get", "--address", "127.0.0.1:1", "$one"]);
    expect(code).toBe(4);
    expect(stderr).toBe("splitcache: no sidecar answers at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n");
  });

  it("are explained by a help with examples, for every command", async () => {
    const { stdout } = await run(["--help"]);
    const commands = [...stdout.matchAll(/^ {2}([a-z][a-z-]+) /gm)].map(([, name = ""]) => name);
    expect(commands).toHaveLength(17);
    for (const command of commands.filter((name) => name !== "help")) {
      const help = await run([command, "--help"]);
      expect(help.code).toBe(0);
      expect(help.stdout).toMatch(new RegExp(`Examples:\\n {2}\\$ splitcache ${command}`));
      expect(help.stdout).toContain("\nExit codes: splitcache help exit-codes\n");
      if (command !== "admin") expect(help.stdout).toContain("-o, --output <text|json>");
      expect(help.stdout).not.toContain('""');
    }
  });
});

describe("the exit codes", () => {
  it("are listed once, by exit-codes and by its help", async () => {
    const list = await runCli(["exit-codes"]);
    const codes = [...list.stdout.matchAll(/^(\d+) +[A-Z].*\.$/gm)].map(([, code]) => Number(code));
    expect(codes).toEqual(Object.values(ExitCode));
    expect((await runCli(["help", "exit-codes"])).stdout.replace(/\s+/g, " ")).toContain(
      list.stdout.trim().replace(/\s+/g, " "),
    );
    const json = await runCli(["exit-codes", "-o", "json"]);
    expect(JSON.parse(json.stdout.split("\n")[0] ?? "")).toMatchObject({ code: 0 });
    expect((await runCli(["get", "--help"])).stdout).not.toMatch(/^ *130 /m);
  });
});
