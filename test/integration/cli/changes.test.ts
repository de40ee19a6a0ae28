import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { BODY, EVENT, useCliSidecar } from "../../support/cli/cli-sidecar.js";

const sidecar = useCliSidecar();
const { run, put, getJson } = sidecar;

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
    const file = join(sidecar.dir, "redacted.json");
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

  it("warn of arguments that are no ID of their kind, and still call the sidecar", async () => {
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
