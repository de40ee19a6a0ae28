import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";

describe.skipIf(!hasPostgres())("reports to the PostgreSQL log", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());
  closeLogsAfterEach();

  const two = async (homeserver: string) => {
    const [near, far] = [startLog(server.target()), startLog(server.target())];
    const [a, b] = [near.follow(homeserver), far.follow(homeserver)];
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    return { a, b };
  };

  const rowsOf = (homeserver: string) =>
    server.query<{ epoch: string; sequence: string }>(
      `select encode(epoch, 'hex') as epoch, sequence from splitcache.applied
        where convert_from(homeserver, 'UTF8') = $1`,
      [homeserver],
    );

  /** Ends all connections of sidecars, as a crash of the server does. */
  const cutOff = () =>
    server.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'splitcache'",
    );

  it("are repeated when a crash of the server has undone reports of a new epoch", async () => {
    const { a, b } = await two("lost.example");
    const before = a.copy.position.epoch;
    const { epoch } = await a.log.startEpoch();
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    await server.query(
      `update splitcache.applied set epoch = decode($1, 'hex')
        where convert_from(homeserver, 'UTF8') = 'lost.example'`,
      [before],
    );
    await cutOff();
    await eventually(async () => {
      const rows = await rowsOf("lost.example");
      expect(rows.map((row) => row.epoch)).toEqual([epoch, epoch]);
    });
    await eventually(() => a.append(invalidated("$1")));
    expect(b.copy.applied).toEqual(["1 $1"]);
    expect(b.copy.calls.filter((call) => call.startsWith("restart"))).toHaveLength(2);
  });

  it("that a lock delays cost neither the lease nor the reports of other homeservers", async () => {
    const { a, b } = await two("locked.example");
    const failing = startLog(server.target());
    const [c, d] = [failing.follow("locked.example"), failing.follow("free.example")];
    await Promise.all([c.untilCurrent(), d.untilCurrent()]);
    const e = startLog(server.target()).follow("free.example");
    await e.untilCurrent();
    const client = await server.connect();
    await client.query(
      "begin; select from splitcache.applied where homeserver = 'locked.example' for update",
    );
    const appended = a.append(invalidated("$1"));
    await eventually(() => expect(failing.failures.map(({ cause }) => cause)).toEqual(["lock"]));
    for (const id of ["$1", "$2", "$3"]) await e.append(invalidated(id));
    expect(c.log.isCurrent() && d.log.isCurrent() && b.log.isCurrent()).toBe(true);
    await client.query("rollback");
    await client.end();
    await appended;
    for (const { copy } of [a, b, c]) {
      expect(copy.calls.filter((call) => /^(restart|drop)/.test(call))).toEqual(["restart started"]);
    }
  });

  it("that find no row enrol the sidecar again", async () => {
    const { a, b } = await two("gone.example");
    await server.query(
      "delete from splitcache.applied where convert_from(homeserver, 'UTF8') = 'gone.example'",
    );
    await a.append(invalidated("$1"));
    await eventually(async () => expect(await rowsOf("gone.example")).toHaveLength(2));
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    const { sequence } = await a.append(invalidated("$2"));
    expect(b.copy.position.sequence).toBe(sequence);
    expect(b.copy.calls.filter((call) => call.startsWith("restart"))).toEqual(["restart started"]);
  });
});
