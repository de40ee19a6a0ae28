import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http2";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExitCode } from "../../src/cli/exit-code.js";
import { type NaiveSidecar, startNaiveSidecar } from "../support/naive-sidecar.js";
import { type CliRunOptions, runCli } from "../support/run-cli.js";
import { startTestServer, type TestServer } from "../support/start-server.js";

const EVENT = { event_id: "$one", room_id: "!room", room_version: "10" };
const BODY = '{"type":"m.room.message","content":{"body":"hello"},"room_id":"!room"}';

describe("the client commands", () => {
  let server: TestServer;
  let dir: string;

  beforeEach(async () => {
    server = await startTestServer();
    dir = await mkdtemp(join(tmpdir(), "splitcache-cli-"));
  });

  afterEach(async () => {
    await server.stop();
    await rm(dir, { recursive: true });
  });

  /** Runs a command in an environment that names the sidecar. */
  function run(args: string[], options: CliRunOptions = {}) {
    const env = { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_CLIENT_HOMESERVER: "example.org" };
    return runCli(args, { env, ...options });
  }

  function put(...events: object[]) {
    return run(["put"], { stdin: events.map((event) => JSON.stringify(event)).join("\n") });
  }

  async function getJson(...args: string[]) {
    const { stdout, code } = await run(["get", "-o", "json", ...args]);
    expect(code).toBe(0);
    return JSON.parse(stdout);
  }

  describe("put and get", () => {
    it("return an event as it was put", async () => {
      const event = { ...EVENT, body: BODY, rejected: true, rejected_reason: "why", internal_metadata: "m" };
      expect(await put(event)).toEqual({ code: 0, stdout: "1 stored, 0 refused\n", stderr: "" });
      expect(await getJson("$one")).toEqual(event);
    });

    it("show an event in a table, with control characters of its body escaped", async () => {
      await put({ ...EVENT, body: '"\u001b[2J"', redacted_by: "$by", redacted_body: '"\u001b[2Jr"' });
      const { stdout } = await run(["get", "$one"]);
      expect(stdout).toMatch(
        /^EVENT +ROOM +VERSION +STATE +BYTES +BODY\n\$one +!room +10 +redacted by \$by +7 /,
      );
      expect(stdout).toContain('"\\u{1b}[2Jr"');
    });

    it("name missing events and exit with 3", async () => {
      await put({ ...EVENT, body: BODY });
      const { code, stdout, stderr } = await run(["get", "-o", "json", "$one", "$two\u0007"]);
      expect(stdout.trim().split("\n")).toHaveLength(1);
      expect({ code, stderr }).toEqual({ code: 3, stderr: "missing: $two\\u{7}\n" });
    });

    it("accept more events than one call may hold, from a file", async () => {
      const ids = Array.from({ length: 1100 }, (_, index) => `$e${index}`);
      const file = join(dir, "events.jsonl");
      await writeFile(
        file,
        ids.map((event_id) => JSON.stringify({ ...EVENT, event_id, body: BODY })).join("\n"),
      );
      expect(await run(["put", file])).toMatchObject({ code: 0, stdout: "1100 stored, 0 refused\n" });
      const { stdout } = await run(["get", "-o", "json", ...ids]);
      const found = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).event_id);
      expect(found).toEqual(ids);
    });

    it("ask again for events that did not fit into a reply", async () => {
      const body = `"${"x".repeat(250_000)}"`;
      const ids = Array.from({ length: 20 }, (_, index) => `$e${index}`);
      await put(...ids.map((event_id) => ({ ...EVENT, event_id, body })));
      const { code, stdout } = await run(["get", "-o", "json", ...ids]);
      expect(code).toBe(0);
      expect(
        stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line).event_id),
      ).toEqual(ids);
    });

    it("store one event from a file with its JSON text", async () => {
      const file = join(dir, "event.json");
      await writeFile(file, BODY);
      const of = ["--event-id", "$one", "--room", "!room", "--room-version", "10"];
      expect(await run(["put", file, ...of])).toMatchObject({ code: 0 });
      expect(await getJson("$one")).toEqual({ ...EVENT, body: BODY });
      expect(await run(["put", file, "--event-id", "$one"])).toMatchObject({
        code: 2,
        stderr: "splitcache: --event-id requires --room and --room-version\n",
      });
    });

    it("refuse an event that changed after the given position, and exit with 3", async () => {
      const { position } = await getJson();
      await run(["invalidate", "$one"]);
      const refused = await run(["put", "-o", "json", "--as-of", position], {
        stdin: JSON.stringify({ ...EVENT, body: BODY }),
      });
      expect(refused).toMatchObject({ code: 3, stdout: '{"event_id":"$one","outcome":"fenced"}\n' });
      const table = await run(["put", "--as-of", position], {
        stdin: JSON.stringify({ ...EVENT, body: BODY }),
      });
      expect(table.stdout).toBe("0 stored, 1 refused\nEVENT  OUTCOME\n$one   fenced\n");
    });

    it("ask for the position before they read the events, so that a change meanwhile refuses them", async () => {
      async function* slowly() {
        await run(["invalidate", "$one"]);
        yield JSON.stringify({ ...EVENT, body: BODY });
      }
      expect(await run(["put"], { stdin: slowly() })).toMatchObject({ code: 3 });
    });

    it("name the invalid line, and store nothing", async () => {
      const { code, stderr } = await put({ ...EVENT, body: BODY }, { ...EVENT, event_id: 7, body: BODY });
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: "splitcache: stdin, line 2: event_id must be a string\n",
      });
      expect((await run(["get", "$one"])).code).toBe(3);
    });
  });

  describe("text that would be altered when it is stored", () => {
    const LATIN1 = Buffer.from(JSON.stringify({ ...EVENT, json: '{"body":"caf\u00e9"}' }), "latin1");
    const HALVES = ["\ud800", "\udfff"].map((half) =>
      JSON.stringify({ ...EVENT, event_id: half, json: "{}" }),
    );

    async function file(content: string | Buffer): Promise<string> {
      const path = join(dir, "input");
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
        const { stdout } = await run(["stats", "--all", "--http", server.httpUrl.slice("http://".length)]);
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
      const env = { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_CLIENT_HOMESERVER: "x\ufffd" };
      const { code, stderr } = await run(["purge-homeserver", "--yes"], { env });
      expect(code).toBe(2);
      expect(stderr).toMatch(/^splitcache: SPLITCACHE_CLIENT_HOMESERVER is not valid UTF-8/);
    });
  });

  describe("announcements", () => {
    beforeEach(() => put({ ...EVENT, body: BODY }));

    it("show a redaction with a redacted body that the sidecar makes", async () => {
      const { code, stdout } = await run(["redact", "$one", "--by", "$by"]);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^outcome {3}applied\nposition {2}[0-9a-f]{32}:1\n$/);
      expect(await getJson("$one")).toEqual({
        ...EVENT,
        body: '{"type":"m.room.message","content":{},"room_id":"!room"}',
        redacted_by: "$by",
      });
      expect(await getJson("--view", "original", "$one")).toMatchObject({ body: BODY, redacted_by: "$by" });
    });

    it("show a redaction with the redacted body of a file", async () => {
      const file = join(dir, "redacted.json");
      await writeFile(file, '{"mine":1}');
      await run(["redact", "$one", "--by", "$by", "--room", "!room", "--redacted-body-file", file]);
      expect(await getJson("$one")).toMatchObject({ body: '{"mine":1}' });
    });

    it("show a rejection, and that it was undone", async () => {
      expect((await run(["reject", "$one", "--reason", "auth_error"])).code).toBe(0);
      expect(await getJson("$one")).toMatchObject({ rejected: true, rejected_reason: "auth_error" });
      const undone = await run(["reject", "$one", "--undo", "-o", "json"]);
      expect(JSON.parse(undone.stdout)).toMatchObject({ outcome: "applied" });
      expect(await getJson("$one")).not.toHaveProperty("rejected");
      expect((await run(["reject", "$one", "--undo", "--reason", "x"])).code).toBe(2);
    });

    it("drop the entry if the given position is too early", async () => {
      const { position } = await getJson();
      await run(["redact", "$one", "--by", "$by"]);
      const { stdout } = await run(["redact", "$one", "--by", "$by", "--as-of", position, "-o", "json"]);
      expect(JSON.parse(stdout)).toMatchObject({ outcome: "dropped" });
      const text = await run(["redact", "$one", "--by", "$by", "--as-of", position]);
      expect(text.stdout).toMatch(/^outcome {3}absent; the cache held no entry\n/);
    });

    it("say that the next read refills a dropped entry", async () => {
      const { position } = await getJson();
      await run(["redact", "$one", "--by", "$by"]);
      const { stdout } = await run(["redact", "$one", "--by", "$by", "--as-of", position]);
      expect(stdout).toMatch(/^outcome {3}dropped; the next read refills the entry\n/);
    });

    it("warn of arguments that are no ID of their kind, and call the sidecar all the same", async () => {
      const warning = (id: string, kind: string, sigil: string) =>
        `warning: ${id} is not a ${kind} ID: ${kind} IDs begin with ${sigil}\n`;
      const room = await run(["purge-room", "nota\u0007room"]);
      expect(room).toMatchObject({ code: 0, stderr: warning("nota\\u{7}room", "room", "!") });
      expect(room.stdout).toMatch(/^position /);
      const events = await run(["invalidate", "one", "$two", "--room", "$three"]);
      expect(events.stderr).toBe(warning("one", "event", "$") + warning("$three", "room", "!"));
      expect((await run(["redact", "$one", "--by", "by"])).stderr).toBe(warning("by", "event", "$"));
      expect((await run(["reject", "one"])).stderr).toBe(warning("one", "event", "$"));
    });

    it.each([
      ["invalidate", "$one"],
      ["purge-room", "!room"],
      ["purge-homeserver", "--yes"],
    ])("drop the entries that %s %s names", async (...args) => {
      expect(await run(args)).toMatchObject({ code: 0, stderr: "" });
      expect((await run(["get", "$one"])).code).toBe(3);
    });

    it("do not purge a homeserver without --yes", async () => {
      const { code, stderr } = await run(["purge-homeserver"]);
      expect(code).toBe(2);
      expect(stderr).toBe("splitcache: this drops all cached data of example.org; pass --yes to confirm\n");
      expect((await run(["get", "$one"])).code).toBe(0);
    });

    it("act for the homeserver of the flag instead of the environment's", async () => {
      await run(["purge-homeserver", "--yes", "-H", "other.example"]);
      expect((await run(["get", "$one"])).code).toBe(0);
    });
  });

  describe("stats", () => {
    it("shows the sidecar's metrics in a table and every sample as JSON", async () => {
      await run(["get", "$one"]);
      const http = server.httpUrl.slice("http://".length);
      const table = await run(["stats", "--http", http]);
      expect(table.code).toBe(0);
      expect(table.stdout).toMatch(/^METRIC +LABELS +VALUE\n/);
      expect(table.stdout).toMatch(/^grpc_server_handling_seconds_mean +.*GetEvents/m);
      expect(table.stdout).not.toContain("_bucket");
      const json = await run(["stats", "-o", "json"], { env: { SPLITCACHE_HTTP: http } });
      const names = json.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).name);
      expect(names).toContain("grpc_server_handling_seconds_bucket");
    });

    it("takes the URL of the listener as well", async () => {
      expect(await run(["stats", "--http", server.httpUrl])).toMatchObject({ code: 0, stderr: "" });
      expect(await run(["stats", "--http", `${server.httpUrl}/metrics`])).toMatchObject({ code: 0 });
    });

    it("names the address where nothing answers and exits with 4", async () => {
      const { code, stderr } = await run(["stats", "--http", "127.0.0.1:1"]);
      expect({ code, stderr }).toEqual({
        code: 4,
        stderr: "splitcache: http://127.0.0.1:1/metrics cannot be read: connect ECONNREFUSED 127.0.0.1:1\n",
      });
    });
  });

  it("stats ends in time if the server does not answer", async () => {
    const silent = createTcpServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const http = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { code, stderr } = await run(["stats", "--http", http, "--timeout", "50ms"]);
    silent.close();
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: `splitcache: http://${http}/metrics did not answer in time\n`,
    });
  });

  describe("health and wait", () => {
    it("exit with 0 if the sidecar serves", async () => {
      expect(await run(["health"])).toEqual({ code: 0, stdout: "SERVING\n", stderr: "" });
      expect(await run(["wait"])).toEqual({ code: 0, stdout: "", stderr: "" });
      expect((await run(["wait", "-o", "json"])).stdout).toBe('{"status":"SERVING"}\n');
    });

    it("find the sidecar at the listener of its own environment", async () => {
      const env = { SPLITCACHE_LISTEN: `${server.address},unix:/run/splitcache/s` };
      expect(await run(["health"], { env })).toMatchObject({ code: 0, stdout: "SERVING\n" });
    });

    it("exit with 4 if nothing answers", async () => {
      expect((await run(["health", "--address", "127.0.0.1:1"])).code).toBe(4);
      const { code, stderr } = await run(["wait", "--address", "127.0.0.1:1", "--timeout", "300ms"]);
      expect({ code, stderr }).toEqual({
        code: 4,
        stderr: "splitcache: 127.0.0.1:1 did not become ready within 300 ms\n",
      });
    });
  });

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
      const env = { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_HOMESERVER: "example.org" };
      expect((await run(["get", "$one"], { env })).code).toBe(2);
    });

    it("name the address where nothing answers, and exit with 4", async () => {
      const { code, stderr } = await run(["get", "--address", "127.0.0.1:1", "$one"]);
      expect(code).toBe(4);
      expect(stderr).toBe(
        "splitcache: no sidecar answers at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n",
      );
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

describe("the client commands against a faulty sidecar", () => {
  let sidecar: NaiveSidecar | undefined;

  afterEach(() => sidecar?.stop());

  it("health exits with 1 if the sidecar does not serve, and wait continues", async () => {
    sidecar = await startNaiveSidecar();
    sidecar.health.setStatus("", "NOT_SERVING");
    expect(await runCli(["health", "--address", sidecar.address, "-o", "json"])).toEqual({
      code: 1,
      stdout: '{"status":"NOT_SERVING"}\n',
      stderr: "",
    });
    const waiting = runCli(["wait", "--address", sidecar.address]);
    sidecar.health.setStatus("", "SERVING");
    expect((await waiting).code).toBe(0);
  });

  it("health and wait report a sidecar that is unavailable", async () => {
    const headers = { "content-type": "application/grpc", "grpc-status": "14", "grpc-message": "starting" };
    const server = createServer();
    server.on("stream", (stream) => stream.respond(headers, { endStream: true }));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const health = await runCli(["health", "--address", address]);
    const wait = await runCli(["wait", "--address", address, "--timeout", "200ms"]);
    server.close();
    expect(health).toMatchObject({
      code: 4,
      stderr: `splitcache: the sidecar at ${address} is unavailable: starting\n`,
    });
    expect(wait).toMatchObject({
      code: 4,
      stderr: `splitcache: ${address} did not become ready within 200 ms\n`,
    });
  });

  it("a call without an answer ends at its deadline, with 4", async () => {
    sidecar = await startNaiveSidecar({ getEvents: () => {} });
    const args = ["get", "-H", "h", "--address", sidecar.address, "--timeout", "200ms", "$one"];
    const { code, stderr } = await runCli(args);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: `splitcache: ${sidecar.address} did not answer in time\n`,
    });
  });

  it("an interrupted command ends at once, with 130", async () => {
    const interrupt = new AbortController();
    sidecar = await startNaiveSidecar({ getEvents: () => interrupt.abort() });
    const args = ["get", "-H", "h", "--address", sidecar.address, "$one"];
    const { code, stderr } = await runCli(args, { signal: interrupt.signal });
    expect({ code, stderr }).toEqual({ code: 130, stderr: "splitcache: interrupted\n" });
  });

  it("the text of an error cannot control the terminal", async () => {
    sidecar = await startNaiveSidecar({
      getEvents: (_call, reply) => reply({ code: status.INTERNAL, details: "\u001b[2J" }),
    });
    const { code, stderr } = await runCli(["get", "-H", "h", "--address", sidecar.address]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "splitcache: INTERNAL: \\u{1b}[2J\n" });
  });
});
