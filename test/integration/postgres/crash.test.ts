import type { Client } from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { POSTGRES_LIMITS } from "../../../src/log/postgres/postgres-limits.js";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";
import { freePort } from "../../support/program/free-port.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";

/** A crash that the server mends by itself takes back what was committed without a flush: renewals and reports. */
describe.skipIf(!hasPostgres())("what a crash of the server of the PostgreSQL log takes back", () => {
  let server: PostgresServer;
  let proxy: LinkProxy;
  beforeEach(async () => {
    server = await PostgresServer.start({ fsync: "off" });
    proxy = await LinkProxy.start(server.port);
  });
  closeLogsAfterEach();
  afterEach(async () => {
    await proxy.stop();
    await server.stop();
  });

  const throughProxy = () => server.target({ socketDirectory: undefined, port: proxy.port });

  const countChanges = async () => (await server.query("select from splitcache.change")).length;

  const counterOfOther = async () => {
    const [row] = await server.query<{ counter: string }>(
      "select counter from splitcache.member where id = 'other'",
    );
    return row && Number(row.counter);
  };

  /** Another member, played by the test: it renews, and has not applied what comes. */
  const addOther = async () => {
    await server.query("insert into splitcache.member values ('other', 1)");
    await server.query(
      "insert into splitcache.applied select homeserver, 'other', epoch, sequence from splitcache.head",
    );
  };

  const renew = async (client: Client) => {
    await client.query("set synchronous_commit = off");
    await client.query("update splitcache.member set counter = counter + 1 where id = 'other'");
  };

  /** From now on nothing is written but by commits that ask for it. What is returned crashes the server. */
  const stopWalWriter = async () => {
    const [row] = await server.query<{ pid: number }>(
      "select pid from pg_stat_activity where backend_type = 'walwriter'",
    );
    process.kill(row!.pid, "SIGSTOP");
    return () => process.kill(row!.pid, "SIGKILL");
  };

  /** Loses a renewal that the sidecar has not seen, and lets so much time go by for the sidecar that a counter which it saw before the crash is old. */
  const crashAfterRenewal = async (clock: { addedMs: number }) => {
    // A flush of the server's own may come between: then there is another crash.
    for (let isLost = false; !isLost; ) {
      const before = await counterOfOther();
      const client = await server.connect();
      proxy.set({ toServer: "held", fromServer: "held" });
      const crash = await stopWalWriter();
      await renew(client);
      const hasCrashed = new Promise((resolve) => client.once("end", resolve));
      crash();
      await hasCrashed;
      proxy.set({});
      clock.addedMs += POSTGRES_LIMITS.expelAfterMs + 1;
      isLost = (await eventually(counterOfOther)) === before;
    }
  };

  /** Stands still but for what a test adds. */
  const newClock = () => {
    const clock = { addedMs: 0, nowMs: () => clock.addedMs };
    return clock;
  };

  const untilIdleAfter = (statement: string) =>
    eventually(async () => {
      const rows = await server.query(
        "select from pg_stat_activity where query like $1 and application_name = 'splitcache'",
        [`%${statement}%`],
      );
      expect(rows).not.toHaveLength(0);
    });

  it("is not taken for a member that stands still, by a change that waits", async () => {
    const clock = newClock();
    const sidecar = startLog(throughProxy(), { clock });
    const a = sidecar.follow();
    await a.untilCurrent();
    await addOther();
    const lost = a.append(invalidated("$1")).catch((error: unknown) => error);
    await untilIdleAfter("is_epoch");
    await crashAfterRenewal(clock);
    expect(await lost).toMatchObject({ kind: "unavailable" });

    const appended = eventually(() => a.append(invalidated("$2")));
    await eventually(async () => expect(await countChanges()).toBe(2));
    await untilIdleAfter("is_epoch");
    expect(await counterOfOther()).toBeDefined();
    await server.query(
      "update splitcache.applied a set sequence = h.sequence from splitcache.head h where member = 'other'",
    );
    await appended;
    expect(await counterOfOther()).toBeDefined();
  });

  it("is not taken for a member that stands still, by the sweep", async () => {
    const clock = newClock();
    const sidecar = startLog(throughProxy(), { clock, limits: { trimIntervalMs: 20 } });
    await sidecar.follow().untilCurrent();
    await addOther();
    await untilIdleAfter("select id, counter");
    await crashAfterRenewal(clock);
    // What a run of the trimmer does after its sweep.
    await untilIdleAfter("select h.homeserver");
    expect(await counterOfOther()).toBeDefined();
  });

  it("is reported again", async () => {
    const [near, far] = [startLog(server.target()), startLog(throughProxy())];
    const [a, b] = [near.follow(), far.follow()];
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    const crash = await stopWalWriter();
    // The first change of an incarnation is followed by a commit that asks for a flush.
    for (const id of ["$1", "$2"]) await a.append(invalidated(id));
    // The other sidecar comes back only when its report is known to be lost.
    proxy.lead(await freePort(), { drops: false });
    crash();
    const reported = async () =>
      (await server.query<{ sequence: string }>("select sequence from splitcache.applied order by 1")).map(
        ({ sequence }) => Number(sequence),
      );
    await eventually(async () => expect(await reported()).toEqual([1, 2]));
    proxy.lead(server.port, { drops: false });
    await eventually(async () => expect(await reported()).toEqual([2, 2]));
    expect(b.copy.calls.filter((call) => call.startsWith("restart"))).toEqual(["restart started"]);
  });
});
