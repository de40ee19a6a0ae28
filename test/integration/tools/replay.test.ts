import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { registerReplay } from "../../../tools/replay/command.js";
import { runCli } from "../../support/cli/run-cli.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";
import { sharedDataDir } from "../../support/shared-data.js";

const DEMO = join(import.meta.dirname, "../../../demo");
const WHOLE_TRACE_TIMEOUT_MS = 10 * 60_000;

/** Every reply of the real server is compared with the database of the recorded homeserver. */
describe("a recorded trace", () => {
  let server: TestServer;

  beforeEach(async () => {
    server = await startTestServer();
  });

  afterEach(() => server.stop());

  async function replay(dir: string, ...flags: string[]) {
    const files = [join(dir, "events.jsonl.gz"), join(dir, "trace.jsonl.gz")];
    const to = ["--address", server.address, "--timeout", "1m", "-o", "json"];
    const { code, stdout, stderr } = await runCli(["replay", ...files, "--check", ...to, ...flags], {
      register: registerReplay,
    });
    expect(stderr).toBe("");
    expect(code).toBe(0);
    return JSON.parse(stdout);
  }

  it.each(["given", "made"])("is served as it is stored, with redacted bodies that are %s", async (who) => {
    const report = await replay(DEMO, "--redacted-bodies", who);
    expect(report).toMatchObject({ mismatches: 0, missesLost: 0, roomsPurged: 1 });
    // Every kind of change occurred, and each found its entry; every put was accepted.
    expect(Object.keys(report.invalidated).toSorted()).toEqual([
      "censor",
      "expire",
      "outlier",
      "purge_history",
    ]);
    expect(Object.keys(report.redactions)).toEqual(["applied"]);
    expect(Object.keys(report.rejections)).toEqual(["applied"]);
    expect(Object.keys(report.puts)).toEqual(["stored"]);
    expect(report.hits).toBeGreaterThan(0.98 * (report.idsRead - report.missesNotStored));
  });

  it("is served as it is stored to one reader at a time, of what its own cache lacks", async () => {
    const report = await replay(DEMO, "--reads", "fetch", "--concurrency", "1");
    expect(report).toMatchObject({ mismatches: 0, missesLost: 0 });
    expect(report.idsRead).toBeGreaterThan(0);
  });

  const sharedDir = sharedDataDir();
  it.skipIf(sharedDir === undefined)(
    "is served as it is stored from beginning to end (needs SPLITCACHE_DATA or ../shared/data)",
    async () => {
      // What a worker's own cache would have answered asks the same again, for minutes.
      const report = await replay(sharedDir ?? "", "--redacted-bodies", "made", "--reads", "fetch");
      expect(report).toMatchObject({ mismatches: 0, missesLost: 0, truncated: 0, roomsPurged: 12 });
      expect(report.lines).toMatchObject({ get: 255_608, persist: 19_794, redact: 714 });
    },
    WHOLE_TRACE_TIMEOUT_MS,
  );
});
