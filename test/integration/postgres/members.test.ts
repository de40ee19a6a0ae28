import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";

describe.skipIf(!hasPostgres())("members of the PostgreSQL log", () => {
  let server: PostgresServer;
  let proxy: LinkProxy;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    proxy = await LinkProxy.start(server.port);
  });
  closeLogsAfterEach();
  afterEach(() => proxy.stop());

  const throughProxy = () => server.target({ socketDirectory: undefined, port: proxy.port });

  /** Two sidecars: the link of the second one can be held up. */
  const two = async (homeserver: string, limits = {}) => {
    const near = startLog(server.target(), { limits });
    const far = startLog(throughProxy(), { limits });
    const [a, b] = [near.follow(homeserver), far.follow(homeserver)];
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    await a.append(invalidated("$0"));
    return { a, b, near, far };
  };

  const countMembers = async (homeserver: string) => {
    const [row] = await server.query<{ count: string }>(
      "select count(*) from splitcache.applied where convert_from(homeserver, 'UTF8') = $1",
      [homeserver],
    );
    return Number(row?.count);
  };

  it.each([
    ["in both directions", { toServer: "held", fromServer: "held" } as const],
    ["towards the server", { toServer: "held" } as const],
    ["from the server", { fromServer: "held" } as const],
  ])(
    "confirms a change only when a sidecar that is cut off %s serves nothing, and waits for it once",
    async (name, passages) => {
      const homeserver = `cut-${name.replaceAll(" ", "-")}.example`;
      const { a, b } = await two(homeserver);
      proxy.set(passages);
      await a.append(invalidated("$1"));
      expect(b.log.isCurrent()).toBe(false);
      expect(await countMembers(homeserver)).toBe(1);
      await a.append(invalidated("$2"));

      proxy.set({});
      await b.untilCurrent();
      expect(b.copy.position).toEqual(a.copy.position);
      expect(b.copy.calls.filter((call) => /^(restart|drop)/.test(call))).toEqual([
        "restart started",
        "drop expelled",
      ]);
      expect(b.copy.calls.at(-1)).toBe("current");
      expect(await countMembers(homeserver)).toBe(2);
    },
  );

  it("keeps everything if no other member expelled it while its link was delayed", async () => {
    const { b } = await two("kept.example");
    proxy.set({ toServer: "held", fromServer: "held" });
    await eventually(() => expect(b.log.isCurrent()).toBe(false));
    proxy.set({});
    await b.untilCurrent();
    expect(b.copy.calls.filter((call) => call.startsWith("restart"))).toEqual(["restart started"]);
    expect(b.copy.currentCount).toBe(2);
  });

  it("waits for no longer than a read may, and not at all once the log is known to be down", async () => {
    const { b, far } = await two("ready.example");
    proxy.set({ toServer: "held", fromServer: "held" });
    await eventually(() => expect(b.log.isCurrent()).toBe(false));
    await b.log.ready();
    await eventually(() => expect(b.log.ready()).toBeUndefined());
    expect(b.log.catchUp({ ...b.copy.position, sequence: 99 })).toBeUndefined();
    expect(far.log.status().isUp).toBe(false);
    proxy.set({});
    await b.untilCurrent();
    expect(far.states).toEqual(["up", "down", "up"]);
  });

  it("waits once for a homeserver that cannot be loaded while others can", async () => {
    const { b } = await two("loads.example", { readyMs: 100 });
    const client = await server.connect();
    const name = "homeserver = 'stuck.example'";
    await client.query(
      "insert into splitcache.head values ('stuck.example', decode(repeat('00', 16), 'hex'), 1, 1, 'asked')",
    );
    await client.query(`begin; select from splitcache.head where ${name} for update`);
    const stuck = startLog(server.target(), { limits: { readyMs: 100 } });
    const other = stuck.follow("loads.example");
    await other.untilCurrent();
    const followed = stuck.follow("stuck.example");
    await followed.log.ready();
    expect(followed.log.ready()).toBeUndefined();
    expect(followed.log.catchUp({ ...followed.copy.position, sequence: 99 })).toBeUndefined();
    expect(b.log.isCurrent() && other.log.isCurrent()).toBe(true);
    await client.query("rollback");
    await client.end();
    await followed.untilCurrent();
  });

  it("rejects changes while its link is delayed, and appends again afterwards", async () => {
    const { a, b } = await two("rejects.example");
    proxy.set({ toServer: "held", fromServer: "held" });
    await expect(b.append(invalidated("$1"))).rejects.toMatchObject({ kind: "unavailable" });
    await expect(b.append(invalidated("$1"))).rejects.toMatchObject({ kind: "unavailable" });
    proxy.set({});
    await b.untilCurrent();
    await eventually(() => b.append(invalidated("$2")));
    expect(a.copy.calls.at(-1)).toBe("apply $2");
  });

  it("lets a change whose caller has been refused already be applied by the copy itself", async () => {
    const { a, b, far } = await two("late.example", { appendMs: 100 });
    const client = await server.connect();
    await client.query("begin; lock table splitcache.head in share mode");
    await expect(b.append(invalidated("$late"))).rejects.toMatchObject({ kind: "unavailable" });
    expect(far.failures).toEqual([]);
    await client.query("rollback");
    await client.end();
    await eventually(() => expect(b.copy.calls).toContain("apply $late"));
    await eventually(() => expect(a.copy.calls).toContain("apply $late"));
  });

  it("drops all and begins at the oldest change that is left if some were removed meanwhile", async () => {
    const { a, b } = await two("gap.example", { retainEventIds: 3, trimIntervalMs: 20 });
    proxy.set({ toServer: "held", fromServer: "held" });
    await a.append(invalidated("$1"));
    for (let n = 2; n < 12; n++) await a.append(invalidated(`$${n}`));
    await eventually(async () => {
      const rows = await server.query(
        "select from splitcache.change where convert_from(homeserver, 'UTF8') = 'gap.example'",
      );
      expect(rows).toHaveLength(3);
    });
    proxy.set({});
    await b.untilCurrent();
    expect(b.copy.calls).toContain("restart gap");
    expect(b.copy.applied).toEqual(["10 $9", "11 $10", "12 $11"]);
  });

  it("does not follow a log that has gone back, even when it has grown past the copy since", async () => {
    const { a, b, far } = await two("regrown.example");
    const before = a.copy.position.epoch;
    for (const id of ["$1", "$2", "$3"]) await a.append(invalidated(id));
    const client = await server.connect();
    const name = "homeserver = 'regrown.example'";
    await client.query(`update splitcache.head set sequence = 1 where ${name}`);
    // Nobody can begin a new epoch for as long as the row is locked.
    await client.query(`begin; select from splitcache.head where ${name} for update`);
    await eventually(() => expect(far.failures.map(({ cause }) => cause)).toContain("backwards"));
    await client.query(`update splitcache.head set sequence = 9 where ${name}; commit`);
    await client.end();
    await eventually(() => {
      for (const { copy, log } of [a, b]) {
        expect(log.isCurrent() && copy.position.epoch === before).toBe(false);
        expect(copy.position.epoch).not.toBe(before);
      }
    });
  });

  it("begins a new epoch, and reports it, when a homeserver's log has gone back", async () => {
    const { a, b, near, far } = await two("back.example");
    const before = a.copy.position.epoch;
    for (const id of ["$1", "$2", "$3"]) await a.append(invalidated(id));
    await server.query(
      "update splitcache.head set sequence = 1 where convert_from(homeserver, 'UTF8') = 'back.example'",
    );
    await eventually(() => {
      for (const { copy, log } of [a, b]) {
        expect(copy.position.epoch).not.toBe(before);
        expect(log.isCurrent()).toBe(true);
      }
    });
    expect(b.copy.calls).toContain("restart database");
    expect([...near.failures, ...far.failures].map(({ cause }) => cause)).toContain("backwards");
    await a.append(invalidated("$4"));
    expect(b.copy.applied).toEqual(["1 $4"]);
  });
});
