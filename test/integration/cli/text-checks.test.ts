import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EVENT, useCliSidecar } from "../../support/cli/cli-sidecar.js";

const sidecar = useCliSidecar();
const { run } = sidecar;

describe("text that would be altered when it is stored", () => {
  const LATIN1 = Buffer.from(JSON.stringify({ ...EVENT, json: '{"body":"caf\u00e9"}' }), "latin1");
  const HALVES = ["\ud800", "\udfff"].map((half) => JSON.stringify({ ...EVENT, event_id: half, json: "{}" }));

  async function file(content: string | Buffer): Promise<string> {
    const path = join(sidecar.dir, "input");
    await writeFile(path, content);
    return path;
  }

  it.each([
    ["bytes that are not UTF-8", LATIN1, "line 1: json is not valid UTF-8"],
    ["halves of surrogate pairs", HALVES.join("\n"), "line 1: event_id has half of a surrogate pair"],
    ["a byte order mark", "\ufeff{}", "line 1 begins with a byte order mark (U+FEFF); remove it"],
  ])(
    "is refused with line and field in a file and at standard input: %s",
    async (_what, content, problem) => {
      const path = await file(content);
      expect(await run(["put", path])).toEqual({
        code: 2,
        stdout: "",
        stderr: `splitcache: ${path}, ${problem}\n`,
      });
      const piped = await run(["put"], { stdin: content });
      expect(piped).toEqual({ code: 2, stdout: "", stderr: `splitcache: stdin, ${problem}\n` });
      const { stdout } = await run([
        "stats",
        "--all",
        "--http",
        sidecar.server.httpUrl.slice("http://".length),
      ]);
      expect(stdout).not.toMatch(/splitcache_puts_total.*stored +[1-9]/);
    },
  );

  it.each([
    ["bytes that are not UTF-8", Buffer.from([0xe9]), "is not valid UTF-8"],
    ["a byte order mark", "\ufeff{}", "begins with a byte order mark (U+FEFF); remove it"],
    ["too many bytes", "x".repeat(256 * 1024 + 1), "has more than 262144 bytes"],
  ])("is refused in a file that is an event: %s", async (_what, content, problem) => {
    const path = await file(content);
    const one = ["--event-id", "$one", "--room", "!room", "--room-version", "10"];
    const stderr = `splitcache: ${path}: the body ${problem}\n`;
    expect(await run(["put", path, ...one])).toEqual({ code: 2, stdout: "", stderr });
    expect(await run(["put", "-", ...one], { stdin: content })).toMatchObject({
      code: 2,
      stderr: stderr.replace(path, "stdin"),
    });
    expect(await run(["redact", "$one", "--by", "$by", "--redacted-body-file", path])).toMatchObject({
      code: 2,
      stderr: stderr.replace("the body", "the redacted body"),
    });
  });

  // Node.js makes the first of invalid UTF-8; a JavaScript caller can pass the second.
  it.each(["$\ufffd", "$\ud800"])("is refused in every argument: %j", async (text) => {
    for (const [args, name] of [
      [["get", "$one", text], "event-id"],
      [["get", "-H", text], "--homeserver"],
      [["invalidate", text], "event-id"],
      [["invalidate", "$one", "--room", text], "--room"],
      [["redact", text, "--by", "$by"], "event-id"],
      [["redact", "$one", "--by", text], "--by"],
      [["reject", "$one", "--reason", text], "--reason"],
      [["purge-room", text], "room-id"],
      [["put", "-", "--event-id", text, "--room", "!r", "--room-version", "1"], "--event-id"],
      [["put", "-", "--event-id", "$e", "--room", text, "--room-version", "1"], "--room"],
      [["put", "-", "--event-id", "$e", "--room", "!r", "--room-version", text], "--room-version"],
      [["watch", "--subscriber", text], "--subscriber"],
      [["health", "--service", text], "--service"],
    ] as const) {
      const { code, stdout, stderr } = await run([...args]);
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 2, stdout: "" });
      expect(stderr).toMatch(
        new RegExp(`^error: .*${name}.* is invalid|^error: command-argument .* argument '${name}'`),
      );
      expect(stderr).toContain("It is not valid UTF-8, or has the character U+FFFD");
    }
  });

  it("is refused in the environment", async () => {
    const env = { SPLITCACHE_ADDRESS: sidecar.server.address, SPLITCACHE_CLIENT_HOMESERVER: "x\ufffd" };
    const { code, stderr } = await run(["purge-homeserver", "--yes"], { env });
    expect(code).toBe(2);
    expect(stderr).toMatch(/^splitcache: SPLITCACHE_CLIENT_HOMESERVER is not valid UTF-8/);
  });
});
