import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../../support/cli/run-cli.js";
import { closeLogsAfterEach, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";

describe.skipIf(!hasPostgres())("splitcache log-schema", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());
  closeLogsAfterEach();

  it("prints SQL with which a role works that may create nothing, and that can run again", async () => {
    await server.query('create role "the Sidecar" login');
    const run = await runCli(["log-schema", "--schema", "events_log", "--grant-to", "the Sidecar"]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    for (let times = 0; times < 2; times++) await server.query(run.stdout);
    const sidecar = startLog(server.target({ user: "the Sidecar" }), {
      schema: "events_log",
      limits: { trimIntervalMs: 20, membersIntervalMs: 20 },
    });
    const followed = sidecar.follow();
    await followed.untilCurrent();
    await followed.append(invalidated("$1"));
    await followed.log.startEpoch();
    expect(sidecar.failures).toEqual([]);
  });

  it.each(["Events", "a b", "1st", "x;drop", ""])("refuses the schema name %j", async (name) => {
    const run = await runCli(["log-schema", "--schema", name]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain("lower-case letters");
  });
});
