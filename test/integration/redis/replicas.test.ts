import { describe, expect, it } from "vitest";
import type { Homeserver, Position } from "../../../src/core/types.js";
import { PrimaryLink } from "../../../src/store/redis/primary-link.js";
import { eventually } from "../../support/eventually.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";
import { hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { QUIET, targetOf } from "../../support/redis/redis-harness.js";
import { PROOF_MS, useRedis } from "../../support/redis/use-redis.js";
import { ALPHA, BETA, homeserver, messageEvent } from "../../support/store-harness.js";

const UNAVAILABLE = { kind: "unavailable" };

describe.skipIf(!(await hasRedisServer()))("a primary and its replicas", () => {
  const { server, newStore, newAlpha } = useRedis();

  it("believes no primary with fewer replicas than it must have", async () => {
    const { alpha } = newAlpha({ replicasMin: 1 });
    await expect(alpha.position()).rejects.toMatchObject(UNAVAILABLE);
  });

  it("believes nothing that a replica says", async () => {
    const { alpha } = newAlpha();
    await alpha.put([messageEvent("$a")]);
    const replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${server().port}`]);
    try {
      await eventually(async () => expect(await replica.command("DBSIZE")).toBeGreaterThan(0));
      const link = new PrimaryLink(targetOf("single", [replica.port]), () => performance.now(), QUIET);
      const { alpha: astray, store } = newAlpha({ link });
      await expect(astray.get(["$a"])).rejects.toMatchObject(UNAVAILABLE);
      expect(store.stats().remote!.troubles["not_primary"]).toBeGreaterThan(0);
    } finally {
      await replica.stop();
    }
  });

  it("backs off from a server that takes connections and refuses all else", async () => {
    const replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${server().port}`]);
    const lostAtMs: number[] = [];
    const log = { ...QUIET, disconnected: () => lostAtMs.push(performance.now()) };
    const link = new PrimaryLink(targetOf("single", [replica.port]), () => performance.now(), log);
    try {
      const { alpha } = newAlpha({ link });
      await eventually(async () => {
        await expect(alpha.get(["$a"])).rejects.toMatchObject(UNAVAILABLE);
        expect(lostAtMs.length).toBeGreaterThanOrEqual(6);
      });
      // Pauses of 50, 100, 200, 400 and 500 ms at least, whatever else takes time.
      expect(lostAtMs[5]! - lostAtMs[0]!).toBeGreaterThan(1200);
    } finally {
      await replica.stop();
    }
  });

  it("counts a replica once that has connected anew before its primary noticed", async () => {
    const primary = await RedisProcess.start();
    const cut = await LinkProxy.start(primary.port);
    const replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${cut.port}`]);
    const link = new PrimaryLink(targetOf("single", [primary.port]), () => performance.now(), QUIET);
    const { alpha } = newAlpha({ link });
    const listed = async () =>
      (await primary.command<string>("INFO", "replication")).split("state=online").length - 1;
    try {
      await eventually(async () => expect(await listed()).toBe(1));
      await eventually(() => alpha.put([messageEvent("$a")]));
      cut.loseClients();
      await eventually(async () => expect(await listed()).toBe(2));
      await eventually(async () => expect(await alpha.hits("$a")).toEqual(["$a"]));
      await eventually(() => alpha.invalidate(["$a"]));
    } finally {
      await replica.stop();
      await cut.stop();
      await primary.stop();
    }
  });

  it("keeps its connections, and counts, while replicas are missing, whoever asks", async () => {
    let lost = 0;
    const log = {
      ...QUIET,
      disconnected: () => {
        lost += 1;
      },
    };
    const link = new PrimaryLink(targetOf("single", [server().port]), () => performance.now(), log);
    const { store } = newAlpha({ link, replicasMin: 1 });
    const names = Array.from({ length: 10 }, (_, n) => homeserver(`hs${n}.example`));
    const endMs = performance.now() + 2500;
    const ask = async (name: Homeserver) => {
      while (performance.now() < endMs) {
        await expect(store.purgeHomeserver(name)).rejects.toMatchObject(UNAVAILABLE);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await Promise.all(names.map(ask));
    expect(lost).toBe(0);
    expect(store.stats().remote!.troubles).toMatchObject({ timeout: 0, disconnected: 0, other: 0 });
    expect(store.stats().remote!.troubles["no_replicas"]).toBeGreaterThan(0);
  });

  it("does not believe a primary that missed its replica until it changed its replication ID", async () => {
    const primary = await RedisProcess.start(["--repl-backlog-ttl", "1"]);
    const replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${primary.port}`]);
    const link = new PrimaryLink(targetOf("single", [primary.port]), () => performance.now(), QUIET);
    const { alpha } = newAlpha({ link });
    const idOf = async () =>
      /master_replid:(\w+)/.exec(await primary.command<string>("INFO", "replication"))![1];
    try {
      await eventually(async () => {
        expect(await primary.command("WAIT", "1", "100")).toBe(1);
        await alpha.put([messageEvent("$a")]);
      });
      await eventually(() => alpha.invalidate(["$b"]));
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      const before = await idOf();
      await replica.kill();
      await eventually(async () => expect(await idOf()).not.toBe(before));
      const expectDoubt = async (one: typeof alpha) => {
        // Longer than it would take to believe a server that is new.
        const endMs = performance.now() + 3 * PROOF_MS;
        while (performance.now() < endMs) {
          await expect(one.position()).rejects.toMatchObject(UNAVAILABLE);
          await expect(one.invalidate(["$a"])).rejects.toMatchObject(UNAVAILABLE);
        }
      };
      // One that starts now knows of the replica by the state alone, the other one without it, too.
      const other = new PrimaryLink(targetOf("single", [primary.port]), () => performance.now(), QUIET);
      await expectDoubt(newAlpha({ link: other }).alpha);
      await primary.command("FLUSHALL");
      await expectDoubt(alpha);
      await replica.launch();
      await eventually(() => alpha.invalidate(["$a"]));
    } finally {
      await replica.stop();
      await primary.stop();
    }
  });

  it("asks nothing of a primary that took over because of replicas that the one before it had", async () => {
    const [before, after] = [
      await RedisProcess.start(),
      await RedisProcess.start(["--repl-backlog-ttl", "1"]),
    ];
    const sidecarAt = (server: RedisProcess) =>
      newStore({
        link: new PrimaryLink(targetOf("single", [server.port]), () => performance.now(), QUIET),
      }).store;
    const idOf = async () =>
      /master_replid:(\w+)/.exec(await after.command<string>("INFO", "replication"))![1];
    try {
      await after.command("REPLICAOF", "127.0.0.1", String(before.port));
      await eventually(async () => expect(await before.command("WAIT", "1", "100")).toBe(1));
      const first = sidecarAt(before);
      for (const name of [ALPHA, BETA]) await eventually(() => first.purgeHomeserver(name));
      await after.command("REPLICAOF", "NO", "ONE");
      await before.kill();
      const promoted = await idOf();
      const second = sidecarAt(after);
      await eventually(() => second.purgeHomeserver(ALPHA));
      await eventually(async () => expect(await idOf()).not.toBe(promoted));
      await eventually(() => second.purgeHomeserver(ALPHA));
      // Its state is still that of the primary before, which had a replica: this one.
      await eventually(() => second.purgeHomeserver(BETA));
      await second.purgeHomeserver(ALPHA);
    } finally {
      await after.stop();
      await before.stop();
    }
  });

  it("doubts while a replica that it knew is gone, until it is back", async () => {
    const replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${server().port}`]);
    const { alpha } = newAlpha();
    let before: Position | undefined;
    try {
      await eventually(async () => {
        expect(await server().command("WAIT", "1", "100")).toBe(1);
        before = await alpha.position();
        await alpha.put([messageEvent("$a")]);
      });
      await alpha.invalidate(["$b"]);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      await replica.kill();
      await eventually(async () => expect(await alpha.hits("$a")).toEqual([]));
      await expect(alpha.invalidate(["$a"])).rejects.toMatchObject(UNAVAILABLE);
      await replica.launch();
      await eventually(async () => expect((await alpha.position()).epoch).toBe(before!.epoch));
      // The refused call was made all the same.
      expect(await alpha.hits("$a")).toEqual([]);
    } finally {
      await replica.stop();
    }
  });
});
