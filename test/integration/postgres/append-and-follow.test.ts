import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeChange } from "../../../src/log/postgres/codec/change-codec.js";
import { parseNotification } from "../../../src/log/postgres/codec/notification.js";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";

describe.skipIf(!hasPostgres())("the PostgreSQL log", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());
  closeLogsAfterEach();

  const three = async (homeserver: string) => {
    const followed = [1, 2, 3].map(() => startLog(server.target()).follow(homeserver));
    await Promise.all(followed.map(({ untilCurrent }) => untilCurrent()));
    return followed as [(typeof followed)[0], (typeof followed)[0], (typeof followed)[0]];
  };

  it("confirms a change of the only sidecar", async () => {
    const a = startLog(server.target()).follow("one.example");
    await a.untilCurrent();
    const position = await a.append(invalidated("$1"));
    expect(position).toEqual(a.copy.position);
    expect(position.sequence).toBe(1);
  });

  it("confirms a change when all three have applied it, written through at its own sidecar alone", async () => {
    const [a, b, c] = await three("three.example");
    const position = await b.append(invalidated("$1"));
    for (const { copy } of [a, b, c]) expect(copy.position).toEqual(position);
    expect(a.copy.calls).toEqual(["restart started", "current", "apply $1"]);
    expect(b.copy.calls).toEqual(["restart started", "current", "write $1"]);
    expect(c.copy.calls).toEqual(["restart started", "current", "apply $1"]);
  });

  it("gives concurrent changes one order", async () => {
    const followed = await three("order.example");
    const names = Array.from({ length: 150 }, (_, index) => `$${index}`);
    const positions = await Promise.all(
      names.map((name, index) => followed[index % 3]!.append(invalidated(name))),
    );
    expect(new Set(positions.map(({ sequence }) => sequence)).size).toBe(150);
    const [a, b, c] = followed;
    expect(a.copy.applied).toHaveLength(150);
    expect(b.copy.applied).toEqual(a.copy.applied);
    expect(c.copy.applied).toEqual(a.copy.applied);
    for (const [index, { sequence }] of positions.entries()) {
      expect(a.copy.applied[sequence - 1]).toBe(`${sequence} $${index}`);
    }
  });

  it("puts changes of one moment into few transactions", async () => {
    const a = startLog(server.target()).follow("batch.example");
    await a.untilCurrent();
    await Promise.all(Array.from({ length: 200 }, (_, index) => a.append(invalidated(`$${index}`))));
    const [row] = await server.query<{ transactions: string }>(
      "select count(distinct xmin::text) as transactions from splitcache.change where homeserver = 'batch.example'",
    );
    expect(Number(row?.transactions)).toBeLessThanOrEqual(4);
  });

  it("keeps homeservers apart, with any names", async () => {
    const one = startLog(server.target());
    const names = ["x.example", "münchen.example", "nul\0.example", "'; drop table x; --"];
    const followed = names.map((name) => one.follow(name));
    const other = startLog(server.target()).follow("münchen.example");
    await Promise.all([...followed, other].map(({ untilCurrent }) => untilCurrent()));
    await Promise.all(followed.map(({ append }, index) => append(invalidated(`$${index}`))));
    for (const [index, { copy }] of followed.entries()) expect(copy.applied).toEqual([`1 $${index}`]);
    expect(other.copy.applied).toEqual(["1 $1"]);
  });

  it("loads the retained changes before it is current, so that the fence reaches back", async () => {
    const a = startLog(server.target()).follow("load.example");
    await a.untilCurrent();
    for (const id of ["$1", "$2", "$3"]) await a.append(invalidated(id));
    const b = startLog(server.target()).follow("load.example");
    await b.untilCurrent();
    expect(b.copy.calls).toEqual(["restart started", "apply $1", "apply $2", "apply $3", "current"]);
    expect(b.copy.position).toEqual(a.copy.position);
  });

  it("loads a log of many thousand changes", async () => {
    const a = startLog(server.target()).follow("long.example");
    await a.untilCurrent();
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 250 }, (_, index) => a.append(invalidated(`$${index}`))));
    }
    const b = startLog(server.target()).follow("long.example");
    await b.untilCurrent();
    expect(b.copy.applied).toEqual(a.copy.applied);
    expect(b.copy.applied).toHaveLength(5000);
  });

  it("starts a new epoch at all sidecars", async () => {
    const [a, b, c] = await three("epoch.example");
    const before = await a.append(invalidated("$1"));
    const after = await a.log.startEpoch();
    expect(after.epoch).not.toBe(before.epoch);
    expect(after.sequence).toBe(0);
    for (const { copy, log } of [a, b, c]) {
      expect(copy.position).toEqual(after);
      expect(copy.calls.at(-1)).toBe("restart asked");
      expect(log.isCurrent()).toBe(true);
    }
    expect((await b.append(invalidated("$2"))).sequence).toBe(1);
  });

  it("brings a copy to a position that another one has", async () => {
    const [a, b] = await three("ahead.example");
    const position = { epoch: a.copy.position.epoch, sequence: 1 };
    const caughtUp = b.log.catchUp(position);
    expect(caughtUp).toBeInstanceOf(Promise);
    await Promise.all([caughtUp, a.append(invalidated("$1"))]);
    expect(b.log.catchUp(position)).toBeUndefined();
    expect(b.log.catchUp({ ...position, epoch: "00".repeat(16) as typeof position.epoch })).toBeUndefined();
  });

  it("no longer waits for a sidecar that has left or stopped", async () => {
    const [a, b, c] = await three("leave.example");
    b.log.leave();
    await expect(b.append(invalidated("$0"))).rejects.toThrow("no longer followed");
    await eventually(async () => {
      const rows = await server.query("select from splitcache.applied where homeserver = 'leave.example'");
      expect(rows).toHaveLength(2);
    });
    await a.append(invalidated("$1"));
    expect(b.copy.applied).toEqual([]);
    expect(c.copy.applied).toEqual(["1 $1"]);
  });

  it("takes no change from a notification that another role of the database has sent", async () => {
    const [a, b] = await three("forged.example");
    await a.append(invalidated("$1"));
    const { epoch } = b.copy.position;
    const name = Buffer.from("forged.example").toString("hex");
    const change = encodeChange("00".repeat(8), invalidated("$forged")).toString("base64");
    await server.query("select pg_notify('splitcache', $1)", [
      `${name} ${epoch} 2 ${change} ${"00".repeat(16)}`,
    ]);
    await a.append(invalidated("$2"));
    expect(b.copy.applied).toEqual(["1 $1", "2 $2"]);
  });

  it("sends small changes with their notification, and large ones not", async () => {
    const a = startLog(server.target()).follow("sent.example");
    await a.untilCurrent();
    const payloads: string[] = [];
    const client = await server.connect();
    client.on("notification", ({ payload = "" }) => void payloads.push(payload));
    await client.query("listen splitcache");
    const position = await a.append(invalidated("$1"));
    await a.append(invalidated(...Array.from({ length: 500 }, (_, index) => `$${index}-of-many`)));
    const [row] = await server.query<{ key: Buffer }>("select key from splitcache.cluster");
    await eventually(() => expect(payloads).toHaveLength(2));
    await client.end();
    const homeserver = Buffer.from("sent.example").toString("hex");
    const [small, large] = payloads.map((payload) => parseNotification(payload, row!.key));
    expect(small).toEqual({
      homeserver,
      changes: { epoch: position.epoch, first: 1, changes: [expect.any(Buffer)] },
    });
    expect(large).toEqual({ homeserver, changes: undefined });
  });

  it("drops all at a change that this version does not know", async () => {
    const [a, b] = await three("unknown.example");
    await server.query(
      `with moved as (
        update splitcache.head set sequence = sequence + 1 where homeserver = 'unknown.example'
        returning homeserver, epoch, sequence
      ) insert into splitcache.change (homeserver, epoch, sequence, weight, change)
        select homeserver, epoch, sequence, 1, '\\x02' from moved`,
    );
    await a.append(invalidated("$2"));
    expect(a.copy.calls.slice(2)).toEqual(["unknown", "write $2"]);
    expect(b.copy.calls.slice(2)).toEqual(["unknown", "apply $2"]);
  });

  it("shows the members and how far they are behind", async () => {
    const a = startLog(server.target(), { limits: { membersIntervalMs: 20 } });
    const b = startLog(server.target(), { limits: { membersIntervalMs: 20 } });
    const followed = [a.follow("status.example"), b.follow("status.example")];
    await Promise.all(followed.map(({ untilCurrent }) => untilCurrent()));
    const position = await followed[0]!.append(invalidated("$1"));
    await eventually(async () => {
      expect(a.log.status()).toMatchObject({ isUp: true, memberCount: expect.any(Number) });
      expect(a.log.status().memberCount).toBeGreaterThanOrEqual(2);
      const page = { after: undefined, limit: 10, homeserver: "status.example", memberId: undefined };
      const positions = await a.log.members.positions(page);
      expect(positions).toHaveLength(2);
      for (const shown of positions)
        expect(shown).toMatchObject({ applied: position, head: position, lag: 0 });
    });
  });
});
