import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, type FollowedUnderTest, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";

describe.skipIf(!hasPostgres())("a server of the PostgreSQL log that starts again", () => {
  let server: PostgresServer;
  let link: LinkProxy;
  const servers: PostgresServer[] = [];
  beforeEach(async () => {
    server = await PostgresServer.start();
    servers.push(server);
    link = await LinkProxy.start(server.port);
  });
  closeLogsAfterEach();
  afterEach(async () => {
    await link.stop();
    for (const one of servers.splice(0)) await one.stop();
  });

  /** Two sidecars, the second over a link of its own that can be held up. */
  const two = async () => {
    const own = await LinkProxy.start(server.port);
    const target = (port: number) => server.target({ socketDirectory: undefined, port });
    const [near, far] = [startLog(target(link.port)), startLog(target(own.port))];
    const [a, b] = [near.follow(), far.follow()];
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    await append(a, "$1");
    return { a, b, near, far, own };
  };

  /** As a client does it: until OK. */
  const append = async (followed: FollowedUnderTest, id: string) =>
    eventually(() => followed.append(invalidated(id)));

  it("keeps all epochs and caches over a crash that the server mends by itself", async () => {
    const { a, b, own } = await two();
    const { epoch } = a.copy.position;
    await server.crash();
    await append(a, "$2");
    await b.untilCurrent();
    await a.untilCurrent();
    for (const { copy } of [a, b]) {
      expect(copy.position.epoch).toBe(epoch);
      expect(copy.calls.filter((call) => call.startsWith("restart"))).toEqual(["restart started"]);
    }
    await own.stop();
  });

  it("begins new epochs after a restart", async () => {
    const { a, b, own } = await two();
    const { epoch } = a.copy.position;
    await server.restart();
    const position = await append(a, "$2");
    await b.untilCurrent();
    expect(position.epoch).not.toBe(epoch);
    for (const { copy } of [a, b]) {
      expect(copy.position).toEqual(position);
      expect(copy.calls).toContain("restart database");
    }
    await own.stop();
  });

  it("confirms nothing after a restart while a sidecar that is cut off may hold a lease of before", async () => {
    const { a, b, own } = await two();
    await server.halt();
    own.set({ toServer: "held", fromServer: "held" });
    await server.launch();
    // Each change is tried once: none may be confirmed while the other sidecar still serves.
    const ended = { isCurrentAtEnd: true };
    while (ended.isCurrentAtEnd) {
      const isConfirmed = await a.append(invalidated("$2")).then(
        () => true,
        () => false,
      );
      ended.isCurrentAtEnd = b.log.isCurrent();
      if (isConfirmed) expect(b.log.isCurrent()).toBe(false);
    }
    await own.stop();
  });

  it("begins new epochs when a standby is promoted, although commits were lost", async () => {
    const standby = await server.standby();
    servers.push(standby);
    const { a, b, own } = await two();
    await eventually(async () => {
      const [row] = await standby.query<{ count: string }>("select count(*) from splitcache.change");
      expect(Number(row?.count)).toBe(1);
    });
    await standby.query("select pg_wal_replay_pause()");
    const lost = await append(a, "$lost");
    await server.halt("SIGQUIT");
    await standby.query("select pg_wal_replay_resume()");
    await standby.promote();
    link.lead(standby.port, { drops: true });
    own.lead(standby.port, { drops: true });
    const position = await append(b, "$2");
    await a.untilCurrent();
    expect(position.epoch).not.toBe(lost.epoch);
    expect(a.copy.position).toEqual(position);
    await own.stop();
  });

  /** Ends the connections over which sidecars append; those over which they read and renew last. */
  const endCalls = () =>
    eventually(async () => {
      const rows = await server.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'apart'
          and exists (select from pg_stat_activity r
            where r.application_name = 'apart' and r.query like '%set counter = counter + 1%')
          and query not like '%set counter = counter + 1%'`,
      );
      expect(rows).toHaveLength(1);
    });

  it("serves nothing outdated when a name leads to a promoted standby while old connections last", async () => {
    const standby = await server.standby();
    servers.push(standby);
    const sidecar = startLog(server.target({ socketDirectory: undefined, port: link.port }), {
      applicationName: "apart",
    });
    const b = sidecar.follow();
    await b.untilCurrent();
    await append(b, "$old");
    // The old primary goes on: nobody has fenced it.
    await standby.promote();
    link.lead(standby.port, { drops: false });
    await endCalls();
    const near = startLog(standby.target());
    const a = near.follow();
    await a.untilCurrent();
    const position = await append(a, "$new");
    expect(b.log.isCurrent() && b.copy.position.epoch !== position.epoch).toBe(false);
    await eventually(() => expect(b.copy.position).toEqual(position));
    await b.untilCurrent();
  });

  it("refuses a standby, and follows once it has been promoted", async () => {
    const standby = await server.standby();
    servers.push(standby);
    const sidecar = startLog(standby.target());
    const followed = sidecar.follow();
    await eventually(() => expect(sidecar.failures.map(({ cause }) => cause)).toEqual(["standby"]));
    await server.halt();
    await standby.promote();
    await append(followed, "$1");
    await followed.untilCurrent();
  });

  it("never comes back to an epoch of before when a snapshot is restored", async () => {
    const { a, b, own } = await two();
    const epochs = [a.copy.position.epoch];
    await server.halt();
    await server.saveSnapshot();
    for (const id of ["$2", "$3"]) {
      await server.launch();
      epochs.push((await append(a, id)).epoch);
      await server.halt();
      await server.restoreSnapshot();
    }
    await server.launch();
    epochs.push((await append(b, "$4")).epoch);
    expect(new Set(epochs).size).toBe(4);
    await a.untilCurrent();
    expect(a.copy.applied).toEqual(["1 $4"]);
    await own.stop();
  });
});
