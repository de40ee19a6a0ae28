import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { buildProgram, type Program } from "../../support/program/build-program.js";
import { hasRedisServer } from "../../support/redis/processes.js";
import { Cluster } from "../../support/soak/cluster.js";
import { SidecarProcess } from "../../support/soak/sidecar-process.js";
import { UpgradeHomeserver } from "../../support/upgrade/upgrade-homeserver.js";
import { type Versions, versionsOf } from "../../support/upgrade/versions.js";

const isHere = hasPostgres() && (await hasRedisServer());

/** Two versions of the sidecar over one log and one tier. What a version may change, and when, is in docs/deployment.md. */
describe.skipIf(!isHere)("two versions over one log and one tier", () => {
  let versions: Versions;
  let cluster: Cluster;
  let homeserver: UpgradeHomeserver;
  let homeservers = 0;
  beforeAll(async () => {
    versions = await versionsOf(await buildProgram());
    cluster = await Cluster.start(versions.now, { hasTier: true });
  }, 120_000);
  afterEach(() => homeserver?.disconnect());
  afterAll(async () => {
    await cluster?.stop();
    await versions?.remove();
  });

  const all = () => cluster.sidecars.map(({ sidecar }) => sidecar);
  const begin = async (version: Program) => {
    for (const one of cluster.sidecars) await one.replace(version);
    homeserver = new UpgradeHomeserver(`home-${++homeservers}.example`, all());
    await homeserver.fill();
  };
  /** Replaces one after the other; changes are made at the sidecars that run. */
  const upgrade = async (to: Program, afterEachStep: () => Promise<void>) => {
    for (const [at, one] of cluster.sidecars.entries()) {
      const others = all().filter((_, n) => n !== at);
      const replaced = one.replace(to);
      await homeserver.change(others[0]!, others);
      await replaced;
      for (const sidecar of all()) await eventually(() => homeserver.change(sidecar, all()));
      await afterEachStep();
    }
  };

  it("lose nothing in rolling upgrades to a version that reads the next forms, to a version that writes them, and back", async () => {
    const { now, readsNext, writesNext } = versions;
    for (const [from, to] of [
      [now, readsNext],
      [readsNext, writesNext],
      [writesNext, readsNext],
      [readsNext, now],
    ] as const) {
      await begin(from);
      await upgrade(to, () => eventually(() => homeserver.expectWarm(all())));
      const [one, ...others] = await homeserver.received();
      expect(one!.every(({ kind }) => kind === "invalidated")).toBe(true);
      expect(others).toEqual([one, one]);
      homeserver.disconnect();
    }
  }, 120_000);

  it("serve nothing outdated and miss no notice in rolling upgrades that skip the version between", async () => {
    const { now, writesNext } = versions;
    for (const [from, to] of [
      [now, writesNext],
      [writesNext, now],
    ] as const) {
      await begin(from);
      await upgrade(to, async () => {});
      const received = await homeserver.received();
      // What a version does not know it takes for a purge of the homeserver.
      const kinds = new Set(received.flat().map(({ kind }) => kind));
      expect([...kinds].sort()).toEqual(["homeserverPurged", "invalidated"]);
      expect(new Set(received.map(({ length }) => length)).size).toBe(1);
      homeserver.disconnect();
    }
  }, 120_000);

  it("that need other tables: the newer one refuses, says what to do, and leaves the older ones alone", async () => {
    await begin(versions.now);
    const [first, ...others] = cluster.sidecars;
    await first!.replace(versions.otherSchema);
    const line = await first!.logLine("has version 1, this sidecar needs version 2");
    expect(line).toContain("upgrade the schema");
    await expect(homeserver.expectWarm([first!.sidecar])).rejects.toThrow();
    const running = others.map(({ sidecar }) => sidecar);
    await homeserver.change(running[0]!, running);
    await homeserver.expectWarm(running);
  }, 60_000);

  it("that need other tables: the older one refuses and says what to do", async () => {
    const args = ["--log-schema", "later"];
    const one = await SidecarProcess.start(versions.otherSchema, cluster.postgres.port, args);
    try {
      await eventually(() => one.sidecar.purgeHomeserver(homeserver.name, false));
      await one.replace(versions.now);
      const line = await one.logLine("has version 2, this sidecar needs version 1");
      expect(line).toContain("upgrade this sidecar");
      await expect(one.sidecar.purgeHomeserver(homeserver.name, false)).rejects.toThrow();
    } finally {
      await one.stop();
    }
  }, 60_000);
});
