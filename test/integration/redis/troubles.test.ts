import { once } from "node:events";
import { createServer } from "node:http";
import net, { type NetConnectOpts, type SocketConnectOpts } from "node:net";
import { describe, expect, it, vi } from "vitest";
import type { Client } from "../../../src/store/redis/client-library.js";
import { CountedLog } from "../../../src/store/redis/counted-log.js";
import type { RedisTrouble } from "../../../src/store/redis/link.js";
import { NodeConnections } from "../../../src/store/redis/node-connections.js";
import { PrimaryLink } from "../../../src/store/redis/primary-link.js";
import { makeScripts, SERVER_CLOCK } from "../../../src/store/redis/scripts.js";
import { eventually } from "../../support/eventually.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";
import { freePort, hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { QUIET, targetOf } from "../../support/redis/redis-harness.js";
import { PROOF_MS, useRedis } from "../../support/redis/use-redis.js";
import { ALPHA, BETA, messageEvent, ROOM, token, writer } from "../../support/store-harness.js";

const UNAVAILABLE = { kind: "unavailable" };

describe.skipIf(!(await hasRedisServer()))("when Redis does not do its part", () => {
  const { server, keyPrefix, keysOf, newAlpha } = useRedis();

  it("is well once it has reached it, and not before, though nobody calls", async () => {
    const told: boolean[] = [];
    const wellnessChanged = (isWell: boolean) => void told.push(isWell);
    const { store } = newAlpha({ redisLog: new CountedLog({ ...QUIET, wellnessChanged }) });
    expect(store.stats().remote!.isWell).toBe(false);
    await eventually(() => expect(store.stats().remote!.isWell).toBe(true));
    // Told of the start or not, as it happened to be looked for.
    await eventually(() => expect(told.at(-1)).not.toBe(false));
    server().signal("SIGSTOP");
    await eventually(() => expect(told.at(-1)).toBe(false));
    expect(store.stats().remote!.isWell).toBe(false);
    server().signal("SIGCONT");
    await eventually(() => expect(told.at(-1)).toBe(true));
  });

  it("takes no more bodies than fit while those that it has do not arrive, and all else", async () => {
    const slow = await LinkProxy.start(server().port);
    const link = new PrimaryLink(targetOf("single", [slow.port]), () => performance.now(), QUIET);
    const body = Buffer.alloc(16_000_000);
    const put = (name: number) => link.setValues(new Map([[`${keyPrefix()}:${name}`, body]]), 1000);
    try {
      await link.getValues(["nothing"]);
      slow.set({ toServer: "held" });
      const puts = Array.from({ length: 8 }, (_, name) => put(name));
      await expect(put(9)).rejects.toMatchObject({ kind: "overload" });
      const read = link.getValues(["nothing"]).then(
        () => undefined,
        ({ kind }: RedisTrouble) => kind,
      );
      slow.set({ toServer: "open" });
      expect(await read).not.toBe("overload");
      await Promise.allSettled(puts);
      await eventually(() => put(9));
    } finally {
      await link.close();
      await slow.stop();
    }
  });

  it("says why it cannot be reached, with each call that fails for that", async () => {
    const port = await freePort();
    const link = new PrimaryLink(targetOf("single", [port]), () => performance.now(), QUIET);
    try {
      for (let call = 0; call < 2; call++) {
        await expect(link.getValues(["nothing"])).rejects.toMatchObject({
          kind: "disconnected",
          message: `no connection to 127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`,
        });
      }
    } finally {
      await link.close();
    }
  });

  it("says that what answers does not speak as Redis does", async () => {
    const other = createServer((_request, response) => void response.end("hello")).listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as net.AddressInfo;
    const link = new PrimaryLink(targetOf("single", [port]), () => performance.now(), QUIET);
    try {
      await expect(link.getValues(["nothing"])).rejects.toThrow("Unknown RESP type");
    } finally {
      await link.close();
      other.closeAllConnections();
      other.close();
    }
  });

  it("says that a node of a Cluster is one", async () => {
    const node = await RedisProcess.start(["--cluster-enabled", "yes"]);
    const slots = await RedisProcess.start(["--cluster-enabled", "yes"]);
    const link = new PrimaryLink(targetOf("single", [node.port]), () => performance.now(), QUIET);
    try {
      await slots.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
      await slots.command("CLUSTER", "MEET", "127.0.0.1", String(node.port));
      await eventually(() =>
        expect(link.getValues(["nothing"])).rejects.toThrow("--redis-url must begin with redis-cluster"),
      );
    } finally {
      await link.close();
      await slots.stop();
      await node.stop();
    }
  });

  it("misses and refuses while it stands still, in bounded time, and heals by itself", async () => {
    const { store, alpha } = newAlpha();
    await alpha.put([messageEvent("$a")]);
    expect(await alpha.hits("$a")).toEqual(["$a"]);
    server().signal("SIGSTOP");
    expect(await alpha.hits("$a")).toEqual([]);
    await expect(alpha.invalidate(["$a"])).rejects.toMatchObject(UNAVAILABLE);
    expect(store.stats().remote!.isWell).toBe(false);
    const { store: another } = newAlpha();
    await expect(another.purgeHomeserver(BETA)).rejects.toMatchObject(UNAVAILABLE);
    // One that has never reached it is no better off.
    expect(another.stats().remote!.isWell).toBe(false);
    expect(alpha.stats().misses.doubt).toBeGreaterThan(0);
    server().signal("SIGCONT");
    await eventually(async () => expect(await alpha.hits("$a")).toEqual(["$a"]));
    await eventually(() => expect(store.stats().remote!.isWell).toBe(true));
    await alpha.invalidate(["$a"]);
    expect(await alpha.hits("$a")).toEqual([]);
  });

  it("says nothing to subscribers while it does not know", async () => {
    const { alpha } = newAlpha({ progressIntervalMs: 20 });
    const subscriber = alpha.subscribe();
    await subscriber.frame();
    expect((await subscriber.frame()).kind).toBe("progress");
    server().signal("SIGSTOP");
    // What was due is said; then there is silence for longer than a proof holds.
    let last = performance.now();
    const silent = (async () => {
      for (;;) {
        await subscriber.frame();
        const now = performance.now();
        if (now - last > 3 * PROOF_MS) return;
        last = now;
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 6 * PROOF_MS));
    server().signal("SIGCONT");
    await silent;
    await subscriber.close();
  });

  it("refuses fills when it is full, and still announces changes", async () => {
    const { store, alpha } = newAlpha();
    await alpha.put([messageEvent("$a"), messageEvent("$c")]);
    const asOf = await alpha.position();
    await server().command("CONFIG", "SET", "maxmemory", "1");
    try {
      const keys = await keysOf(keyPrefix());
      for (let n = 0; n < 10; n++)
        await expect(alpha.put([messageEvent(`$b${n}`)])).rejects.toMatchObject(UNAVAILABLE);
      // Not half of it either.
      expect([...(await keysOf(keyPrefix()))].sort()).toEqual([...keys].sort());
      expect(store.stats().remote!.troubles["full"]).toBeGreaterThan(0);
      await alpha.invalidate(["$a"]);
      expect(await alpha.hits("$a")).toEqual([]);
      // There is no room for its redacted body, but it is redacted for all that.
      expect((await alpha.redact("$c", "$r", { asOf })).outcome).toBe("dropped");
      expect(await alpha.hits("$c")).toEqual([]);
      await alpha.purgeRoom(ROOM);
      await alpha.purge();
    } finally {
      await server().command("CONFIG", "SET", "maxmemory", "0");
    }
    expect(await alpha.put([messageEvent("$b")])).toEqual(["stored"]);
  });

  it.each(["allkeys-lru", "allkeys-random", "volatile-ttl", "volatile-random", "volatile-lfu"])(
    "serves nothing outdated under eviction by %s",
    async (policy) => {
      const { alpha } = newAlpha();
      const used = /used_memory:(\d+)/.exec(await server().command<string>("INFO", "memory"))![1]!;
      await server().command(
        "CONFIG",
        "SET",
        "maxmemory-policy",
        policy,
        "maxmemory",
        `${Number(used) + 400_000}`,
      );
      const latest = new Map<string, string>();
      try {
        for (let round = 0; round < 300; round++) {
          const id = `$${round % 40}`;
          const asOf = await alpha.position().catch(() => undefined);
          const text = `${round} ${"x".repeat(5000)}`;
          if (round % 3 === 0) {
            latest.delete(id);
            await alpha.invalidate([id]);
          } else if (asOf !== undefined && !latest.has(id)) {
            latest.set(id, text);
            await alpha.put([messageEvent(id, { text })], asOf).catch(() => undefined);
          }
          const [hit] = (await alpha.get([id]).catch(() => ({ events: [] }))).events;
          if (hit !== undefined) expect(hit.frame.bytes.includes(latest.get(id) ?? "nothing")).toBe(true);
        }
        const evicted = /evicted_keys:(\d+)/.exec(await server().command<string>("INFO", "stats"))![1];
        expect(Number(evicted)).toBeGreaterThan(0);
      } finally {
        await server().command("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction");
        await server().command("CONFIG", "RESETSTAT");
      }
    },
  );

  it("refuses what a server with too few replicas refuses", async () => {
    const { store, alpha } = newAlpha();
    await alpha.position();
    await server().command("CONFIG", "SET", "min-replicas-to-write", "1");
    try {
      await expect(alpha.invalidate(["$a"])).rejects.toMatchObject(UNAVAILABLE);
      expect(store.stats().remote!.troubles["no_replicas"]).toBeGreaterThan(0);
    } finally {
      await server().command("CONFIG", "SET", "min-replicas-to-write", "0");
    }
    await alpha.invalidate(["$a"]);
  });

  it("says that a server is too old", async () => {
    const link = new PrimaryLink(targetOf("single", [server().port]), () => performance.now(), QUIET);
    const proof = (versionMin: number) => {
      const script = makeScripts(SERVER_CLOCK, versionMin).proof;
      return link.prove({ script, key: `${keyPrefix()}:proof`, args: [""], replicas: () => 0 });
    };
    try {
      await proof(7);
      await expect(proof(99)).rejects.toThrow(/^ERR Redis [\d.]+ is too old, 99.0 or later is needed/);
    } finally {
      await link.close();
    }
  });

  it("suspends a homeserver whose server's clock was set back", async () => {
    const { store, alpha, advance } = newAlpha();
    await advance(60_000);
    await store.renewWriterLease(ALPHA, writer("w"), token(""));
    await alpha.put([messageEvent("$a")]);
    expect(await alpha.hits("$a")).toEqual(["$a"]);
    await advance(-30_000);
    expect(await alpha.hits("$a")).toEqual([]);
    expect(alpha.stats().suspended).toBe(true);
  });

  it("connects again when one of its connections is lost while the others are made", async () => {
    const cut = await LinkProxy.start(server().port);
    const connect = net.createConnection;
    let made = 0;
    // The first one is there, and gone again, before the others are.
    const slow = vi.spyOn(net, "createConnection").mockImplementation(((options: NetConnectOpts) => {
      made += 1;
      if (made === 1) return connect(options).once("data", () => setTimeout(() => cut.drop(), 50));
      if (made > 3) return connect(options);
      const socket = new net.Socket();
      setTimeout(() => socket.connect(options as SocketConnectOpts), 300);
      return socket;
    }) as typeof connect);
    const link = new PrimaryLink(targetOf("single", [cut.port]), () => performance.now(), QUIET);
    try {
      await eventually(() => link.getValues(["nothing"]));
      expect(made).toBe(6);
    } finally {
      slow.mockRestore();
      await link.close();
      await cut.stop();
    }
  });

  it("closes a connection that it gives up, though the library would leave it open", async () => {
    const opened: Client[] = [];
    const target = targetOf("cluster", [server().port]);
    const connections = new NodeConnections(target, (client) => opened.push(client));
    try {
      await connections.to({ host: "127.0.0.1", port: server().port, address: "a" });
      // As a ping that is refused has it.
      opened[0]!.emit("error", new Error("MISCONF"));
      await eventually(() => expect(opened[0]!.isOpen).toBe(false));
      expect([...connections.addresses]).toEqual([]);
    } finally {
      connections.close();
    }
  });

  it("gives up a connection for notices that has gone dead, though the others live", async () => {
    const cut = await LinkProxy.start(server().port);
    let lost = 0;
    const log = {
      ...QUIET,
      disconnected: () => {
        lost += 1;
        cut.mute(undefined);
      },
    };
    const link = new PrimaryLink(targetOf("single", [cut.port]), () => performance.now(), log);
    const heard: string[] = [];
    try {
      await link.getValues(["nothing"]);
      cut.mute("ssubscribe");
      link.follow("a channel", (message) => heard.push(message));
      await eventually(() => expect(lost).toBe(1));
      await eventually(async () => {
        await server().command("SPUBLISH", "a channel", "news");
        expect(heard).toContain("news");
      });
      expect(lost).toBe(1);
    } finally {
      await link.close();
      await cut.stop();
    }
  });
});
