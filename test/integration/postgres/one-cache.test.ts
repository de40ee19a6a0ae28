import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createPostgresLog } from "../../../src/log/postgres/postgres-log.js";
import { eventually } from "../../support/eventually.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import {
  asHomeserver,
  homeserver,
  makeMemoryStore,
  messageEvent,
  ROOM,
  type StoreHarness,
  TestSubscriber,
} from "../../support/store/store-harness.js";

describe.skipIf(!hasPostgres())("three sidecars over one PostgreSQL log", () => {
  let server: PostgresServer;
  const open: StoreHarness[] = [];
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterEach(async () => {
    for (const { store } of open.splice(0)) await store.close();
  });
  afterAll(() => server.stop());

  const three = async (name: string) => {
    const sidecars = [1, 2, 3].map(() => {
      const events = { failed: () => {}, up: () => {}, down: () => {} };
      const invalidationLog = createPostgresLog({ target: server.target(), events });
      const harness = makeMemoryStore({ invalidationLog });
      open.push(harness);
      return { ...asHomeserver(harness.store, homeserver(name)), store: harness.store };
    });
    for (const sidecar of sidecars)
      await eventually(async () => expect(await sidecar.position()).toBeDefined());
    return sidecars as [(typeof sidecars)[0], (typeof sidecars)[0], (typeof sidecars)[0]];
  };

  it("serves nothing of before once a change at another one is confirmed", async () => {
    const [a, b, c] = await three("i1.example");
    for (const sidecar of [a, b, c]) {
      await sidecar.put([messageEvent("$1"), messageEvent("$2"), messageEvent("$3"), messageEvent("$4")]);
    }
    await a.redact("$1", "$r");
    for (const sidecar of [b, c]) expect(await sidecar.hits("$1", "$2")).toEqual(["$2"]);
    await b.reject("$2", true);
    for (const sidecar of [a, c]) expect(await sidecar.hits("$2", "$3")).toEqual(["$3"]);
    await c.invalidate(["$3"]);
    for (const sidecar of [a, b, c]) expect(await sidecar.hits("$3", "$4")).toEqual(["$4"]);
    await a.purgeRoom(ROOM);
    for (const sidecar of [a, b, c]) expect(await sidecar.hits("$4")).toEqual([]);
  });

  it("writes a value through where it was set, and drops it elsewhere", async () => {
    const [a, b] = await three("set.example");
    const asOf = await a.position();
    for (const sidecar of [a, b]) await sidecar.put([messageEvent("$1")]);
    expect((await a.redact("$1", "$r", { asOf })).outcome).toBe("applied");
    const { events } = await a.get(["$1"]);
    expect(events[0]?.state.redaction?.redactedBy).toBe("$r");
    expect(await b.hits("$1")).toEqual([]);
  });

  it("fences a fill from before a change at another one", async () => {
    const [a, b, c] = await three("fence.example");
    const asOf = await b.position();
    await a.invalidate(["$1"]);
    expect(await b.put([messageEvent("$1"), messageEvent("$2")], asOf)).toEqual(["fenced", "stored"]);
    expect(await c.put([messageEvent("$1")], await a.position())).toEqual(["stored"]);
  });

  it("lets a subscriber resume at another one, with every change in order", async () => {
    const [a, b, c] = await three("resume.example");
    const start = await a.position();
    for (const [n, sidecar] of [a, b, c, a].entries()) await sidecar.invalidate([`$${n}`]);
    const subscriber = new TestSubscriber(c.store, homeserver("resume.example"), start);
    expect(await subscriber.change()).toMatchObject({ kind: "ready", resumed: true });
    const batch = await subscriber.change();
    expect(batch).toMatchObject({
      kind: "batch",
      from: start,
      to: { ...start, sequence: start.sequence + 4 },
    });
    await subscriber.close();
  });

  it("begins a new epoch everywhere when a homeserver is purged with one", async () => {
    const [a, b, c] = await three("epoch.example");
    for (const sidecar of [a, b, c]) await sidecar.put([messageEvent("$1")]);
    await b.purge(true);
    const { epoch } = (await b.position())!;
    for (const sidecar of [a, b, c]) {
      expect((await sidecar.position()).epoch).toBe(epoch);
      expect(await sidecar.hits("$1")).toEqual([]);
    }
  });
});
