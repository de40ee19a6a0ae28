import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { SetOutcome } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { registerReplay } from "../../../tools/replay/command.js";
import { type FakeFaults, type FakeSidecar, startFakeSidecar } from "../../support/cli/fake-sidecar.js";
import { runCli } from "../../support/cli/run-cli.js";

const DEMO = join(import.meta.dirname, "../../../demo");

/** The check is worth something only if it finds a sidecar that is wrong. */
describe("replay --check", () => {
  let sidecar: FakeSidecar | undefined;

  afterEach(() => sidecar?.stop());

  async function replayAgainst(faults: FakeFaults) {
    sidecar = await startFakeSidecar({}, faults);
    const files = [join(DEMO, "events.jsonl.gz"), join(DEMO, "trace.jsonl.gz")];
    return runCli(["replay", ...files, "--check", "--address", sidecar.address, "-o", "json"], {
      register: registerReplay,
    });
  }

  /** Replays a trace of two events, `$e` and `$by`. */
  async function replayLines(...lines: object[]) {
    const dir = await mkdtemp(join(tmpdir(), "splitcache-replay-"));
    const common = { room_id: "!r", room_version: "10", json: "{}", pruned_json: "{}" };
    const events = [
      { n: 0, event_id: "$e", ...common },
      { n: 1, event_id: "$by", ...common },
    ];
    const paths = [
      await writeLines(join(dir, "events.jsonl"), events),
      await writeLines(join(dir, "trace.jsonl"), lines),
    ];
    const to = ["--address", sidecar?.address ?? "", "-o", "json"];
    const run = await runCli(["replay", ...paths, "--check", ...to], { register: registerReplay });
    await rm(dir, { recursive: true });
    return run;
  }

  it("finds nothing wrong with a sidecar that keeps the rules", async () => {
    const { code, stdout, stderr } = await replayAgainst({});
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({ mismatches: 0, missesLost: 0, roomsPurged: 1 });
    expect(code).toBe(0);
  });

  it("reports an event that a sidecar served after its invalidation, and exits with 1", async () => {
    const { code, stdout, stderr } = await replayAgainst({ forgetsInvalidations: true });
    expect(JSON.parse(stdout).mismatches).toBeGreaterThan(0);
    expect(stderr).toMatch(
      /^mismatch: \$\S+: (redacted_by|body|internal_metadata) differs from the stored value$/m,
    );
    expect(code).toBe(1);
  });

  it("finds an event that is served although it is no longer stored", async () => {
    sidecar = await startFakeSidecar({}, { forgetsInvalidations: true });
    const { code, stderr } = await replayLines(
      { op: "persist", n: 0, event_id: "$e", room_id: "!r", stream_ordering: 1, txn: 1 },
      { op: "purge_room", room_id: "!r", count: 1 },
      { op: "get", ids: [0], src: "sync" },
    );
    expect({ code, stderr }).toEqual({ code: 1, stderr: "mismatch: $e: served, but not stored\n" });
  });

  it("does not take an event for lost whose entry a redaction dropped", async () => {
    const position = { epoch: Buffer.alloc(16), sequence: 1n };
    sidecar = await startFakeSidecar(
      { setRedaction: (_call, reply) => reply(null, { outcome: SetOutcome.DROPPED, position }) },
      { losesEverything: true },
    );
    const { code, stdout } = await replayLines(
      { op: "persist", n: 0, event_id: "$e", room_id: "!r", stream_ordering: 1, txn: 1 },
      { op: "persist", n: 1, event_id: "$by", room_id: "!r", stream_ordering: 2, txn: 2 },
      { op: "redact", n: 0, room_id: "!r", event_id: "$e", redacted_by: "$by", valid: true },
      { op: "get", ids: [0], src: "sync" },
    );
    expect(JSON.parse(stdout)).toMatchObject({ redactions: { dropped: 1 }, missesStored: 1, missesLost: 0 });
    expect(code).toBe(0);
  });

  it("refuses a kind of line that it does not know", async () => {
    sidecar = await startFakeSidecar();
    const { code, stderr } = await replayLines({ op: "restart" }, { op: "vacuum" });
    expect(code).toBe(2);
    expect(stderr).toContain("trace.jsonl, line 2: unknown operation vacuum");
  });

  it("counts the events that a sidecar lost, which is no mismatch", async () => {
    const { code, stdout } = await replayAgainst({ losesEverything: true });
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ hits: 0, mismatches: 0 });
    expect(report.missesLost).toBeGreaterThan(1000);
    expect(code).toBe(0);
  });
});

async function writeLines(path: string, lines: readonly object[]): Promise<string> {
  await writeFile(path, lines.map((line) => JSON.stringify(line)).join("\n"));
  return path;
}
