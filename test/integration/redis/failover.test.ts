import { afterEach, describe, expect, it, vi } from "vitest";
import { PrimaryLink } from "../../../src/store/redis/primary-link.js";
import { eventually } from "../../support/eventually.js";
import { hasRedisServer, type RedisProcess } from "../../support/redis/processes.js";
import { makeRedisHarness, QUIET, targetOf } from "../../support/redis/redis-harness.js";
import { moveSlot, ownersOf } from "../../support/redis/slots.js";
import {
  expectFollowed,
  startCluster,
  startSentinel,
  type Topology,
} from "../../support/redis/topologies.js";
import { ALPHA, asHomeserver, homeserver, messageEvent } from "../../support/store-harness.js";
import { useStores } from "../../support/use-store.js";

const PROOF_MS = 1000;
const UNAVAILABLE = { kind: "unavailable" };
const keyPrefix = "failover";

describe.skipIf(!(await hasRedisServer()))("when another server becomes primary", () => {
  let redis: Topology;
  afterEach(() => redis.stop());

  const newStore = useStores((options: Parameters<typeof makeRedisHarness>[1] = {}) =>
    makeRedisHarness(redis, { keyPrefix, proofLifetimeMs: PROOF_MS, ...options }),
  );
  const newAlpha = () => {
    const { store } = newStore();
    return { store, alpha: asHomeserver(store, ALPHA) };
  };
  /** As a client that goes on talking to one server, whatever the Sentinels say. */
  const alphaAt = (server: RedisProcess, options: { readonly replicasMin?: number } = {}) => {
    const link = new PrimaryLink(targetOf("single", [server.port]), () => performance.now(), QUIET);
    return asHomeserver(newStore({ link, ...options }).store, ALPHA);
  };
  /** Makes a replica primary, of the other replica too, and does not tell the old one. */
  async function promote(replica: RedisProcess, other: RedisProcess): Promise<void> {
    await replica.command("REPLICAOF", "NO", "ONE");
    await other.command("REPLICAOF", "127.0.0.1", String(replica.port));
  }
  /** A set of servers without anybody who watches over them. */
  async function startUnwatched(): Promise<RedisProcess[]> {
    redis = await startSentinel();
    const [primary, one, two, ...sentinels] = redis.servers;
    for (const sentinel of sentinels) await sentinel.kill();
    return [primary!, one!, two!];
  }

  async function ownerInCluster(): Promise<RedisProcess> {
    const slot = await redis.servers[0]!.command<number>("CLUSTER", "KEYSLOT", `{${ALPHA}}`);
    return (await ownersOf(redis.servers, slot)).from;
  }

  it("serves nothing at the old one that was changed at the new one", async () => {
    const [old, next, other] = await startUnwatched();
    const reader = alphaAt(old!);
    await eventually(() => reader.put([messageEvent("$a")]));
    await eventually(async () => expect(await reader.hits("$a")).toEqual(["$a"]));
    await promote(next!, other!);
    await alphaAt(next!).redact("$a", "$r");
    // Acknowledged: whoever asks now, wherever, must not see what was before.
    expect(await reader.hits("$a")).toEqual([]);
  });

  it("acknowledges no change at the old one: nobody at the new one would know of it", async () => {
    const [old, next, other] = await startUnwatched();
    const writer = alphaAt(old!);
    await eventually(() => writer.invalidate(["$warm"]));
    await promote(next!, other!);
    await expect(writer.invalidate(["$a"])).rejects.toMatchObject(UNAVAILABLE);
  });

  it("acknowledges nothing at the new one for a replica that has just proven the old one", async () => {
    const [old, next, other] = await startUnwatched();
    await next!.command("REPLICAOF", "NO", "ONE");
    await eventually(() => expectFollowed(old!, 1));
    const reader = alphaAt(old!, { replicasMin: 1 });
    await eventually(() => reader.put([messageEvent("$a")]));
    const writer = alphaAt(next!, { replicasMin: 1 });
    await expect(writer.invalidate(["$a"])).rejects.toMatchObject(UNAVAILABLE);
    // Known for longer by now than a proof holds; who has known it for as long as that need not wait any more.
    await new Promise((resolve) => setTimeout(resolve, PROOF_MS));
    await eventually(async () => expect(await reader.hits("$a")).toEqual(["$a"]));
    await other!.command("REPLICAOF", "127.0.0.1", String(next!.port));
    await eventually(() => writer.invalidate(["$a"]));
    expect(await reader.hits("$a")).toEqual([]);
  });

  it("serves nothing at the old one that stood still meanwhile", async () => {
    const [old, next, other] = await startUnwatched();
    const reader = alphaAt(old!);
    await eventually(() => reader.put([messageEvent("$a")]));
    old!.signal("SIGSTOP");
    await promote(next!, other!);
    await alphaAt(next!).redact("$a", "$r");
    old!.signal("SIGCONT");
    expect(await reader.hits("$a")).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, PROOF_MS));
    expect(await reader.hits("$a")).toEqual([]);
  });

  it("finds the primary that the Sentinels choose, and serves nothing of before", async () => {
    redis = await startSentinel();
    const { alpha } = newAlpha();
    const { alpha: other } = newAlpha();
    await eventually(() => alpha.put([messageEvent("$a"), messageEvent("$b")]));
    await eventually(() => alpha.invalidate(["$b"]));
    const before = await alpha.position();
    await eventually(() => other.position());
    const subscriber = other.subscribe();
    await subscriber.frame();
    await redis.servers[0]!.kill();
    await eventually(async () => expect((await alpha.position()).epoch).not.toBe(before.epoch));
    expect(await alpha.hits("$a", "$b")).toEqual([]);
    expect(await subscriber.change()).toMatchObject({ kind: "reset", reason: "wrongEpoch" });
    await eventually(async () => expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]));
    await eventually(async () => expect(await other.hits("$a")).toEqual(["$a"]));
    await eventually(() => other.invalidate(["$a"]));
    expect(await alpha.hits("$a")).toEqual([]);
    await subscriber.close();
  }, 60_000);

  it("goes on in a Cluster that lost a primary, and in one whose slots move", async () => {
    redis = await startCluster();
    const { alpha } = newAlpha();
    const { alpha: other } = newAlpha();
    await eventually(() => alpha.put([messageEvent("$a")]));
    const slot = await redis.servers[0]!.command<number>("CLUSTER", "KEYSLOT", `{${ALPHA}}`);
    const { from, to } = await ownersOf(redis.servers, slot);
    await expectFollowed(to, 1);
    await moveSlot(slot, from, to, async () => {
      // Half moved, whatever it answers is true.
      await alpha.invalidate(["$a"]).catch(() => undefined);
      expect(await other.hits("$a").catch(() => [])).toEqual([]);
    });
    await eventually(() => alpha.invalidate(["$a"]));
    await eventually(async () => expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]));
    await eventually(async () => expect(await other.hits("$a")).toEqual(["$a"]));
    await to.kill();
    await eventually(async () => {
      const position = await other.position();
      expect(await other.put([messageEvent("$c")], position)).toEqual(["stored"]);
      expect(await alpha.hits("$a", "$c")).toEqual(["$c"]);
    });
  }, 60_000);

  it("serves a homeserver in a Cluster that is first used after its primary was lost", async () => {
    redis = await startCluster();
    const { store } = newStore();
    let servers = redis.servers;
    const slotOf = (name: string) => servers[0]!.command<number>("CLUSTER", "KEYSLOT", `{${name}}`);
    const ownerOf = async (name: string) => (await ownersOf(servers, await slotOf(name))).from;
    const lost = await ownerOf(ALPHA);
    const names = Array.from({ length: 50 }, (_, n) => homeserver(`hs${n}.example`));
    const owners = await Promise.all(names.map(ownerOf));
    const [other, fresh] = [
      names[owners.findIndex((owner) => owner !== lost)]!,
      names[owners.indexOf(lost)]!,
    ];
    // Its bodies lie everywhere, so every node is connected to, and its own is proven.
    const used = asHomeserver(store, other);
    const events = Array.from({ length: 20 }, (_, n) => messageEvent(`$${n}`, { text: `text ${n}` }));
    await eventually(() => used.put(events));
    const { store: cold } = newStore();
    const ids = events.map(({ eventId }) => eventId);
    await eventually(() => asHomeserver(cold, other).position());
    await expectFollowed(lost, 1);
    await lost.kill();
    // What lies elsewhere is served meanwhile, and the operator can see why the rest is not.
    const there = await asHomeserver(cold, other).hits(...ids);
    expect(there.length).toBeGreaterThan(0);
    expect(there.length).toBeLessThan(ids.length);
    const { timeout, disconnected } = cold.stats().remote!.troubles as Record<string, number>;
    expect(timeout! + disconnected!).toBeGreaterThan(0);
    servers = servers.filter((server) => server !== lost);
    // Undefined while it is the lost one.
    await vi.waitFor(async () => expect(await ownerOf(fresh)).toBeDefined(), {
      timeout: 20_000,
      interval: 100,
    });
    const late = asHomeserver(store, fresh);
    await eventually(async () => expect(await late.put([messageEvent("$a")])).toEqual(["stored"]));
    expect(await late.hits("$a")).toEqual(["$a"]);
  }, 60_000);

  it("hears in a Cluster what is published after the channel's primary was lost", async () => {
    redis = await startCluster();
    const link = redis.connect(() => performance.now(), QUIET);
    const channel = `{${ALPHA}}`;
    const heard: string[] = [];
    const publish = async (text: string) => {
      await redis.command(channel, "SPUBLISH", channel, text);
      expect(heard).toContain(text);
    };
    try {
      await eventually(() => link.getValues([channel]));
      link.follow(channel, (message) => heard.push(message));
      await eventually(() => publish("before"));
      const lost = await ownerInCluster();
      await expectFollowed(lost, 1);
      await lost.kill();
      const asking = setInterval(() => void link.getValues([channel]).catch(() => undefined), 50);
      try {
        await vi.waitFor(() => publish("after"), { timeout: 20_000, interval: 50 });
      } finally {
        clearInterval(asking);
      }
    } finally {
      await link.close();
    }
  }, 60_000);

  it.each([
    { where: "in a Cluster", start: startCluster, replicas: 1, ownerOfAlpha: ownerInCluster },
    {
      where: "under Sentinels",
      start: startSentinel,
      replicas: 2,
      ownerOfAlpha: async () => redis.servers[0]!,
    },
  ])(
    "goes on $where when the primary stands still and does not wake",
    async ({ start, replicas, ownerOfAlpha }) => {
      redis = await start();
      const { alpha } = newAlpha();
      const subscriber = alpha.subscribe();
      expect(await subscriber.frame()).toMatchObject({ kind: "ready" });
      await eventually(() => alpha.put([messageEvent("$a")]));
      const frozen = await ownerOfAlpha();
      await expectFollowed(frozen, replicas);
      frozen.signal("SIGSTOP");
      // Who asks again and again keeps the connection busy, on which nothing comes back.
      const asking = setInterval(() => void alpha.hits("$a").catch(() => undefined), 50);
      try {
        await vi.waitFor(
          async () => {
            const position = await alpha.position();
            expect(await alpha.put([messageEvent("$b")], position)).toEqual(["stored"]);
          },
          { timeout: 20_000, interval: 50 },
        );
        expect(await alpha.hits("$a", "$b")).toEqual(["$b"]);
        expect(await subscriber.change()).toMatchObject({ kind: "reset" });
        await alpha.invalidate(["$b"]);
        expect(await subscriber.change()).toMatchObject({ kind: "batch" });
      } finally {
        clearInterval(asking);
        frozen.signal("SIGCONT");
      }
      await subscriber.close();
    },
    60_000,
  );
});
