import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BODY, EVENT, useCliSidecar } from "../../support/cli/cli-sidecar.js";

const sidecar = useCliSidecar();
const { run, put, getJson } = sidecar;

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
    const file = join(sidecar.dir, "events.jsonl");
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
    const file = join(sidecar.dir, "event.json");
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
