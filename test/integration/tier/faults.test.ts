import { once } from "node:events";
import { createServer } from "node:net";
import { performance } from "node:perf_hooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { READ_MS_MAX } from "../../../src/tier/redis/limits.js";
import { eventually } from "../../support/eventually.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";
import { hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { startCluster, startSingle, type Topology, targetOf } from "../../support/tier/topologies.js";
import { ALPHA, entryOf, idOf, useTiers } from "../../support/tier/use-tiers.js";

const IDS = Array.from({ length: 20 }, (_, n) => idOf(n));
const ENTRIES = IDS.map((_, n) => entryOf(n));

describe.skipIf(!(await hasRedisServer()))("the tier when Redis or the way to it fails", () => {
  let topology: Topology;
  let redis: RedisProcess;
  let proxy: LinkProxy;
  beforeAll(async () => {
    topology = await startSingle();
    redis = topology.servers[0]!;
  });
  beforeEach(async () => {
    proxy = await LinkProxy.start(redis.port);
  });
  afterEach(async () => {
    redis.signal("SIGCONT");
    await proxy.stop();
  });
  afterAll(() => topology.stop());
  const tiers = useTiers();
  const overProxy = (given: { readMsMax?: number } = {}) =>
    tiers.open({ target: targetOf("single", [proxy.port]), ...given });
  /** With the true time limit. */
  const inTime = () => overProxy({ readMsMax: READ_MS_MAX });

  const isFound = async ({ read }: Awaited<ReturnType<typeof overProxy>>) =>
    expect(await read(ALPHA, IDS)).toHaveLength(IDS.length);

  it.each([
    ["towards the server", { toServer: "held" }],
    ["from the server", { fromServer: "held" }],
    ["in both directions", { toServer: "held", fromServer: "held" }],
  ] as const)("a link that is half open %s costs one time limit, then nothing", async (_, passages) => {
    const one = await inTime();
    await one.write(ALPHA, ENTRIES);
    proxy.set(passages);
    const started = performance.now();
    expect(await one.tier.get(ALPHA, IDS)).toEqual([]);
    // The limit itself is a matter of the unit tests; here it is that nobody waits for a dead connection.
    expect(performance.now() - started).toBeLessThan(900);
    expect(one.tier.status().isUp).toBe(false);
    expect(one.tier.get(ALPHA, IDS)).toBeUndefined();
    // The dead connection is given up, and others are made.
    await eventually(() => expect(one.logged.join()).toContain("the connection to Redis is lost"));
    proxy.set({});
    await eventually(() => isFound(one));
    expect(one.tier.status().isUp).toBe(true);
  });

  it("a server that stands still costs one time limit, then nothing", async () => {
    const one = await inTime();
    await one.write(ALPHA, ENTRIES);
    redis.signal("SIGSTOP");
    expect(await one.tier.get(ALPHA, IDS)).toEqual([]);
    expect(one.tier.get(ALPHA, IDS)).toBeUndefined();
    redis.signal("SIGCONT");
    await eventually(() => isFound(one));
  });

  it("a link that has become slow is not waited for", async () => {
    const one = await inTime();
    await one.write(ALPHA, ENTRIES);
    proxy.set({ fromServer: 60 });
    await eventually(async () => {
      await one.tier.get(ALPHA, IDS);
      expect(one.tier.status().isUp).toBe(false);
    });
    proxy.set({});
    await eventually(() => isFound(one));
  });

  it("connections that are cut are made again", async () => {
    const one = await overProxy();
    await one.write(ALPHA, ENTRIES);
    for (let times = 0; times < 3; times++) {
      const reading = one.tier.get(ALPHA, IDS);
      one.tier.put(ALPHA, ENTRIES);
      proxy.drop();
      expect([undefined, 0, IDS.length]).toContain((await reading)?.length);
      await eventually(() => isFound(one));
    }
    // One line an episode.
    expect(one.logged.filter((line) => line.startsWith("disconnected"))).toHaveLength(1);
  });

  it("a server that starts later is found", async () => {
    const target = targetOf("single", [proxy.port]);
    proxy.lead(1, { drops: true });
    const one = tiers.start({ target });
    expect(one.tier.get(ALPHA, IDS)).toBeUndefined();
    one.tier.put(ALPHA, ENTRIES);
    expect(one.tier.status()).toMatchObject({ isUp: false, entries: { dropped: IDS.length } });
    await eventually(() => expect(one.logged).toHaveLength(1));
    proxy.lead(redis.port, { drops: false });
    await one.write(ALPHA, ENTRIES);
    await isFound(one);
    expect(one.logged.at(-1)).toContain("connected");
  });

  it.each(["single", "sentinel", "cluster"] as const)(
    "what is not Redis is reported, and harms nobody: %s",
    async (topology) => {
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.on("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n$-7\r\n*9\r\n:x\r\n"));
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as { port: number };
      const one = tiers.start({ target: targetOf(topology, [port]) });
      await eventually(() => expect(one.logged).not.toHaveLength(0));
      expect(one.tier.get(ALPHA, IDS)).toBeUndefined();
      await one.tier.close();
      server.close();
    },
  );

  it("pressure drops fills, never reads", async () => {
    const one = await overProxy();
    await one.write(ALPHA, ENTRIES);
    const large = Array.from({ length: 200 }, (_, n) =>
      entryOf(n + 100, { body: Buffer.alloc(200_000, "x") }),
    );
    const before = one.tier.status().entries;
    one.tier.put(ALPHA, large);
    const dropped = one.tier.status().entries.dropped - before.dropped;
    expect(dropped).toBeGreaterThan(0);
    expect(dropped).toBeLessThan(large.length);
    await isFound(one);
    await eventually(() => {
      expect(one.tier.status().entries.written - before.written).toBe(large.length - dropped);
    });
    // There is room again.
    await one.write(ALPHA, [entryOf(1)]);
  });
});

describe.skipIf(!(await hasRedisServer()))("the tier when Redis refuses", () => {
  const started: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of started.splice(0)) await one.stop();
  });
  const tiers = useTiers();
  const serverWith = async (...args: Parameters<typeof RedisProcess.start>) => {
    const server = await RedisProcess.start(...args);
    started.push(server);
    return server;
  };
  const targetAt = ({ port }: RedisProcess) => targetOf("single", [port]);
  const reported = async ({ logged, tier }: ReturnType<typeof tiers.start>, cause: string) => {
    await eventually(() => {
      tier.put(ALPHA, ENTRIES);
      void tier.get(ALPHA, IDS);
      expect(logged.join("\n")).toContain(`${cause}: `);
    });
    expect(tier.status().errors[cause]).toBeGreaterThan(0);
    expect(logged.join("\n")).not.toContain("secret");
  };

  it.each(["noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"])(
    "memory is full with maxmemory-policy %s: reads go on",
    async (policy) => {
      const server = await serverWith(["--maxmemory", "6mb", "--maxmemory-policy", policy]);
      const one = await tiers.open({ target: targetAt(server) });
      const fill = (from: number) =>
        Array.from({ length: 100 }, (_, n) =>
          entryOf(from + n, { body: Buffer.alloc(10_000, `${from + n} `) }),
        );
      const isFull = policy === "noeviction";
      for (let from = 0; from < 2000; from += 100) {
        const { written } = one.tier.status().entries;
        one.tier.put(ALPHA, fill(from));
        await eventually(() => {
          const { entries, errors } = one.tier.status();
          expect(entries.written - written + errors["full"]!).toBeGreaterThanOrEqual(100);
        });
        if (isFull && one.tier.status().errors["full"]! > 0) break;
      }
      expect(one.tier.status().errors["full"]! > 0).toBe(isFull);
      const ids = Array.from({ length: 500 }, (_, n) => idOf(isFull ? n : 1500 + n));
      expect((await one.read(ALPHA, ids)).length).toBeGreaterThan(10);
      expect(one.tier.status().isUp).toBe(true);
    },
  );

  it("a replica alone: reads are answered, writes fail", async () => {
    const primary = await serverWith();
    const replica = await serverWith(["--replicaof", `127.0.0.1 ${primary.port}`]);
    const writer = await tiers.open({ target: targetAt(primary) });
    await writer.write(ALPHA, ENTRIES);
    const one = tiers.start({ target: targetAt(replica) });
    await reported(one, "read_only");
    await eventually(async () => expect(await one.read(ALPHA, IDS)).toHaveLength(IDS.length));
  });

  it("no password, a wrong password, a user without rights", async () => {
    const server = await serverWith();
    await server.command("CONFIG", "SET", "requirepass", "right-secret");
    const target = targetAt(server);
    await reported(tiers.start({ target }), "denied");
    await reported(tiers.start({ target: { ...target, password: "wrong-secret" } }), "denied");
    const one = await tiers.open({ target: { ...target, password: "right-secret" } });
    await one.write(ALPHA, ENTRIES);
  });

  it("needs no more than the documented commands and keys", async () => {
    const server = await serverWith();
    const rights = "reset on >secret resetchannels +hello +auth +ping +get +mget +set +unlink".split(" ");
    await server.command("ACL", "SETUSER", "cache", ...rights, `~${tiers.keyPrefix()}:*`);
    const target = { ...targetAt(server), username: "cache", password: "secret" };
    const one = await tiers.open({ target });
    await one.write(ALPHA, ENTRIES);
    expect(await one.read(ALPHA, IDS)).toHaveLength(IDS.length);
    one.tier.drop(ALPHA, IDS);
    await eventually(async () => expect(await one.read(ALPHA, IDS)).toEqual([]));
    expect(one.tier.status().errors["denied"]).toBe(0);
    await server.command("ACL", "SETUSER", "cache", "-set", "-mget");
    await reported(one, "denied");
  });

  it("a server of a Cluster is used as one alone", async () => {
    const cluster = await startCluster();
    started.push(cluster);
    const one = tiers.start({ target: targetOf("single", [cluster.servers[0]!.port]) });
    await reported(one, "moving");
  });
});
