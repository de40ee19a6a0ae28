import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";

describe.skipIf(!hasPostgres())("rows of the PostgreSQL log that nobody needs any more", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());
  closeLogsAfterEach();

  const two = async (homeserver: string, limits = {}) => {
    const [near, far] = [startLog(server.target(), { limits }), startLog(server.target(), { limits })];
    const [a, b] = [near.follow(homeserver), far.follow(homeserver)];
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    await a.append(invalidated("$0"));
    return { a };
  };

  const countMembers = async (homeserver: string) => {
    const [row] = await server.query<{ count: string }>(
      "select count(*) from splitcache.applied where convert_from(homeserver, 'UTF8') = $1",
      [homeserver],
    );
    return Number(row?.count);
  };

  it("removes logs without followers, with all their changes", async () => {
    const { a } = await two("kept-log.example", { trimIntervalMs: 20 });
    await server.query(
      `with heads as (
        insert into splitcache.head (homeserver, epoch, sequence, weight, reason, at)
        select name::bytea, decode(repeat('0a', 16), 'hex'), 1, 1, 'asked', now() - make_interval(hours => age)
        from (values ('old-log.example', 2), ('young-log.example', 0)) as v(name, age)
        returning homeserver, epoch, at
      ) insert into splitcache.change select homeserver, epoch, 1, 1, at, 'x' from heads`,
    );
    const left = async (table: string) => {
      const rows = await server.query<{ name: string }>(
        `select distinct convert_from(homeserver, 'UTF8') as name from splitcache.${table}
          where convert_from(homeserver, 'UTF8') like '%-log.example' order by 1`,
      );
      return rows.map(({ name }) => name);
    };
    for (const table of ["head", "change"]) {
      await eventually(async () =>
        expect(await left(table)).toEqual(["kept-log.example", "young-log.example"]),
      );
    }
    await a.append(invalidated("$1"));
  });

  it("leaves no member behind when it closes while a join is under way", async () => {
    await two("closing.example");
    const before = (await server.query("select from splitcache.member")).length;
    const client = await server.connect();
    await client.query("begin; lock table splitcache.member in share mode");
    const sidecar = startLog(server.target(), { limits: { lockMs: 1000, answerMs: 2000 } });
    await eventually(async () => {
      const rows = await server.query(
        "select from pg_stat_activity where query like '%former as%' and wait_event_type = 'Lock'",
      );
      expect(rows).not.toHaveLength(0);
    });
    const closed = sidecar.log.close();
    await client.query("rollback");
    await client.end();
    await closed;
    await eventually(async () =>
      expect(await server.query("select from splitcache.member")).toHaveLength(before),
    );
  });

  it("leaves no row behind when it leaves a homeserver while it enrols", async () => {
    await two("left.example");
    const client = await server.connect();
    await client.query("begin; select from splitcache.head where homeserver = 'left.example' for update");
    const sidecar = startLog(server.target(), { limits: { lockMs: 1000, answerMs: 2000 } });
    const followed = sidecar.follow("left.example");
    await eventually(async () => {
      const rows = await server.query(
        "select from pg_stat_activity where query like '%mine as%' and wait_event_type = 'Lock'",
      );
      expect(rows).not.toHaveLength(0);
    });
    followed.log.leave();
    await client.query("rollback");
    await client.end();
    await eventually(async () => expect(await countMembers("left.example")).toBe(2));
  });

  it("removes the members of sidecars that died before a change waits for them", async () => {
    const { a } = await two("swept.example", { trimIntervalMs: 50 });
    await server.query("insert into splitcache.member values ('dead', 7)");
    await server.query(
      `insert into splitcache.applied select homeserver, 'dead', epoch, sequence from splitcache.head
        where convert_from(homeserver, 'UTF8') = 'swept.example'`,
    );
    await eventually(async () => expect(await countMembers("swept.example")).toBe(2));
    await a.append(invalidated("$1"));
  });
});
