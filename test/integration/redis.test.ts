import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import net, { type NetConnectOpts, type SocketConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Change, Homeserver, Position } from "../../src/core/types.js";
import { PrimaryLink } from "../../src/store/redis/primary-link.js";
import { eventually } from "../support/eventually.js";
import { LinkProxy } from "../support/redis/link-proxy.js";
import { freePort, hasRedisServer, RedisProcess } from "../support/redis/processes.js";
import { makeRedisHarness, QUIET, targetOf } from "../support/redis/redis-harness.js";
import { startSingle, type Topology } from "../support/redis/topologies.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  homeserver,
  LEASE_MS,
  messageEvent,
  ROOM,
  TTL_MS,
  token,
  writer,
} from "../support/store-harness.js";
import { useStores } from "../support/use-store.js";

const PROOF_MS = 300;
const UNAVAILABLE = { kind: "unavailable" };

describe.skipIf(!(await hasRedisServer()))("sidecars over one Redis", () => {
  let redis: Topology;
  let keyPrefix: string;
  const server = () => redis.servers[0]!;
  beforeAll(async () => {
    redis = await startSingle();
  });
  afterAll(() => redis.stop());
  let tests = 0;
  beforeEach(() => {
    tests += 1;
    keyPrefix = `shared-${tests}`;
  });
  afterEach(() => server().signal("SIGCONT"));

  /** Stores of one test share their keys. */
  const newStore = useStores((options: Parameters<typeof makeRedisHarness>[1] = {}) =>
    makeRedisHarness(redis, { keyPrefix, proofLifetimeMs: PROOF_MS, ...options }),
  );
  const newAlpha = (...options: Parameters<typeof newStore>) => {
    const harness = newStore(...options);
    return { ...harness, alpha: asHomeserver(harness.store, ALPHA) };
  };
  const key = (rest: string) => `${keyPrefix}:v1:{${ALPHA}}:${rest}`;
  const troubles = (store: ReturnType<typeof newStore>["store"]) => store.stats().remote!.troubles;

  describe("are one cache", () => {
    it("sees at once what another has changed", async () => {
      const [{ alpha: one }, { alpha: two }] = [newAlpha(), newAlpha()];
      await one.put([messageEvent("$a", { text: "secret" }), messageEvent("$b")]);
      expect(await two.hits("$a", "$b")).toEqual(["$a", "$b"]);
      await two.redact("$a", "$r", { asOf: await two.position() });
      const [hit] = (await one.get(["$a"])).events;
      expect(Buffer.from(hit!.state.redaction!.redactedBody!).toString()).not.toContain("secret");
      await one.purgeRoom(ROOM);
      expect(await two.hits("$a", "$b")).toEqual([]);
    });

    it("fences a fill that went through one by a change that went through another", async () => {
      const [{ alpha: one }, { alpha: two }] = [newAlpha(), newAlpha()];
      const before = await one.position();
      await two.invalidate(["$a"]);
      expect(await one.put([messageEvent("$a")], before)).toEqual(["fenced"]);
    });

    it("tells the subscribers of one what was changed at another, in order", async () => {
      const [{ alpha: one }, { alpha: two }] = [newAlpha({ progressIntervalMs: 1000 }), newAlpha()];
      const subscriber = one.subscribe();
      expect(await subscriber.frame()).toMatchObject({ kind: "ready" });
      for (let n = 1; n <= 3; n++) {
        await two.invalidate([`$${n}`]);
        expect(await subscriber.change()).toMatchObject({ notices: [{ sequence: n }] });
      }
      await subscriber.close();
    });

    it("goes on following for a subscriber that comes in the same moment as the last one leaves", async () => {
      const { alpha } = newAlpha();
      const last = alpha.subscribe();
      await last.frame();
      const closing = last.close();
      const next = alpha.subscribe();
      await closing;
      await next.frame();
      const channel = key("changes");
      await eventually(async () =>
        expect(await server().command("PUBSUB", "SHARDNUMSUB", channel)).toEqual([channel, 1]),
      );
      await next.close();
      await eventually(async () =>
        expect(await server().command("PUBSUB", "SHARDNUMSUB", channel)).toEqual([channel, 0]),
      );
    });

    it("tells subscribers of a change by its announcement, and reads the log of none", async () => {
      const slowly = { progressIntervalMs: 1000, proofLifetimeMs: 5000 };
      const [{ alpha: one }, { alpha: two }] = [newAlpha(slowly), newAlpha(slowly)];
      const subscriber = one.subscribe();
      await subscriber.frame();
      await two.put([messageEvent("$a"), messageEvent("$b")]);
      await server().command("CONFIG", "RESETSTAT");
      const heard: Change[] = [];
      const hear = async (count: number) => {
        while (heard.length < count) {
          const frame = await subscriber.change();
          if (frame.kind !== "batch") throw new Error(`${frame.kind} instead of a batch`);
          heard.push(...frame.notices.map(({ change }) => change));
        }
      };
      await two.redact("$a", "$r");
      await two.reject("$b", true);
      await two.invalidate(["$ü\u0001/"]);
      await two.purgeRoom(ROOM);
      await hear(4);
      expect(heard).toMatchObject([
        { kind: "redacted", eventId: "$a", redactedBy: "$r", roomId: ROOM },
        { kind: "rejected", eventId: "$b", rejected: true, roomId: ROOM },
        { kind: "invalidated", eventIds: ["$ü\u0001/"] },
        { kind: "roomPurged", roomId: ROOM },
      ]);
      for (let n = 5; n <= 50; n++) {
        await two.invalidate([`$${n}`]);
        await hear(n);
      }
      // One that is made every interval may come between a change and its announcement.
      const calls = /cmdstat_xrange:calls=(\d+)/.exec(await server().command("INFO", "commandstats"));
      expect(Number(calls?.[1] ?? 0)).toBeLessThan(10);
      await subscriber.close();
    });

    it("keeps the copies of logs within their bound while many are read, and none for nobody", async () => {
      const { store } = newAlpha();
      const names = Array.from({ length: 4 }, (_, n) => homeserver(`hs${n}.example`));
      const homes = names.map((name) => asHomeserver(store, name));
      const starts = await Promise.all(homes.map((home) => home.position()));
      const ids = Array.from({ length: 500 }, (_, n) => `$${"x".repeat(60)}${n}`);
      for (let n = 0; n < 20; n++) await Promise.all(homes.map((home) => home.invalidate(ids)));
      const reader = newAlpha({ memoryBytes: 8 * 1024 * 1024, progressIntervalMs: 60_000 });
      const { logBytesMax } = reader.store.stats();
      let most = 0;
      const watch = setInterval(() => {
        most = Math.max(most, reader.store.stats().logBytes);
      }, 0);
      const subscribers = names.map((name, at) => asHomeserver(reader.store, name).subscribe(starts[at]));
      for (const subscriber of subscribers)
        expect(["ready", "reset"]).toContain((await subscriber.frame()).kind);
      clearInterval(watch);
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(logBytesMax);
      for (const subscriber of subscribers) await subscriber.close();
      expect(reader.store.stats().logBytes).toBe(0);
    });

    it("resumes a subscriber at another sidecar than the one it followed", async () => {
      const [{ alpha: one }, { alpha: two }] = [newAlpha(), newAlpha()];
      const before = await one.position();
      await one.invalidate(["$a"]);
      const subscriber = two.subscribe(before);
      expect(await subscriber.frame()).toEqual({ kind: "ready", position: before, resumed: true });
      expect(await subscriber.change()).toMatchObject({ notices: [{ sequence: 1 }] });
      await subscriber.close();
    });

    it("holds a body once, in Redis and in each sidecar, however many homeservers put it", async () => {
      const { store, alpha } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      await asHomeserver(newStore().store, BETA).put([messageEvent("$a")]);
      expect(await redis.keys(`${keyPrefix}:v1:body:`)).toHaveLength(1);
      expect(await asHomeserver(store, BETA).hits("$a")).toEqual(["$a"]);
      expect(store.stats().events.entries).toBe(1);
    });

    it("judges a lease for all: granted at one, it lapses at every other", async () => {
      const [{ store, alpha: one, advance }, { alpha: two, advance: advanceTwo }] = [newAlpha(), newAlpha()];
      await store.renewWriterLease(ALPHA, writer("w"), token(""));
      await two.put([messageEvent("$a")]);
      expect(await one.hits("$a")).toEqual(["$a"]);
      await advance(LEASE_MS);
      await advanceTwo(0);
      await advance(0);
      expect(await two.hits("$a")).toEqual([]);
      expect(two.stats().suspended).toBe(true);
    });

    it("tells of a lapsed lease at every sidecar, with the token that releases it", async () => {
      const [one, other, late] = [newAlpha(), newAlpha(), newAlpha()];
      const { token: held } = await one.store.renewWriterLease(ALPHA, writer("w"), token(""));
      await one.advance(LEASE_MS);
      for (const { alpha } of [one, other, late]) {
        expect(await alpha.hits("$a")).toEqual([]);
        expect(await alpha.hits("$a")).toEqual([]);
      }
      for (const { logged } of [one, other, late])
        expect(logged.filter((line) => line.includes("lapsed"))).toEqual([`${ALPHA} lapsed w ${held}`]);
    });

    it("lives on while a sidecar dies and another starts", async () => {
      const { store, alpha } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      await store.close();
      expect(await newAlpha().alpha.hits("$a")).toEqual(["$a"]);
    });
  });

  describe("when Redis loses something", () => {
    it("serves nothing that a lost key would have forbidden, whichever it is", async () => {
      // A room's token, which names a key, is not text.
      const lose =
        "local all = redis.call('KEYS', ARGV[1]) table.sort(all) return all[ARGV[2] + 0] and redis.call('DEL', all[ARGV[2] + 0])";
      let lost = 0;
      for (let isLost = true; isLost; lost++) {
        await server().command("FLUSHALL");
        const { alpha } = newAlpha();
        const before = await alpha.position();
        await alpha.put([messageEvent("$a")]);
        await alpha.invalidate(["$b"]);
        const subscriber = alpha.subscribe(before);
        await subscriber.frame();
        isLost = (await server().command("EVAL", lose, "0", key("*"), String(lost + 1))) !== null;
        // $b was invalidated after this position; nobody may forget that.
        expect(await alpha.put([messageEvent("$b")], before)).not.toEqual(["stored"]);
        expect(await alpha.hits("$b")).toEqual([]);
        await alpha.invalidate(["$a"]);
        expect(await alpha.hits("$a")).toEqual([]);
        await subscriber.close();
      }
      // The last one tried was none: state, log, fence, the event, its room's two and the proof.
      expect(lost).toBeGreaterThanOrEqual(8);
    });

    it.each(["r", "t"])(
      "takes a room for purged whose key %s: is lost, also when it is filled again",
      async (kind) => {
        const { alpha } = newAlpha();
        await alpha.put([messageEvent("$a")]);
        const pattern = key(`${kind}:*`).replace(/[[\]]/g, "\\$&");
        // The token is not text.
        const lose = "return redis.call('DEL', unpack(redis.call('KEYS', ARGV[1])))";
        expect(await server().command("EVAL", lose, "0", pattern)).toBe(1);
        expect(await alpha.hits("$a")).toEqual([]);
        await alpha.put([messageEvent("$b")]);
        expect(await alpha.hits("$a", "$b")).toEqual(["$b"]);
        await alpha.purgeRoom(ROOM);
        expect(await alpha.hits("$a", "$b")).toEqual([]);
      },
    );

    it("starts a new epoch when the state is lost, in which nothing from before is alive", async () => {
      const { alpha, logged } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const before = await alpha.position();
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      await server().command("DEL", key("state"));
      expect(await alpha.hits("$a")).toEqual([]);
      expect((await alpha.position()).epoch).not.toBe(before.epoch);
      expect(await subscriber.change()).toMatchObject({ kind: "reset", reason: "wrongEpoch" });
      expect(logged.filter((line) => line === `${ALPHA} started`)).toHaveLength(2);
      await subscriber.close();
    });

    it("starts a new epoch on another server, though it has the state", async () => {
      const { alpha, logged } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      // What a failover or a restart changes.
      await server().command("REPLICAOF", "127.0.0.1", "1");
      await server().command("REPLICAOF", "NO", "ONE");
      await eventually(async () => expect(await alpha.hits("$a")).toEqual([]));
      await eventually(() => alpha.put([messageEvent("$a")]));
      expect(logged).toContain(`${ALPHA} replaced`);
    });

    it.each([
      ["all of it", () => server().command("DEL", key("log"))],
      ["its beginning", () => server().command("XTRIM", key("log"), "MAXLEN", "1")],
      ["a change in its midst", () => server().command("XDEL", key("log"), "2-0")],
    ])("resets a subscriber that would resume across a part of the log that is gone: %s", async (_, lose) => {
      const { alpha } = newAlpha();
      const before = await alpha.position();
      for (const id of ["$a", "$b", "$c"]) await alpha.invalidate([id]);
      await lose();
      const subscriber = newAlpha().alpha.subscribe(before);
      expect(await subscriber.frame()).toMatchObject({ kind: "reset", reason: "tooOld" });
      await alpha.invalidate(["$d"]);
      expect(await subscriber.change()).toMatchObject({ notices: [{ sequence: 4 }] });
      await subscriber.close();
    });

    it("goes on announcing when a log that was full is lost", async () => {
      const { alpha } = newAlpha();
      const ids = (round: number) => Array.from({ length: 500 }, (_, at) => `$${round}-${at}`);
      for (let round = 0; round < 132; round++) await alpha.invalidate(ids(round));
      expect(alpha.stats().logEventIds).toBe(65_500);
      await server().command("DEL", key("log"));
      await alpha.invalidate(["$a"]);
      expect(alpha.stats()).toMatchObject({ logChanges: 1, logEventIds: 1 });
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

    it("reloads its scripts when the server has forgotten them", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      await server().command("SCRIPT", "FLUSH");
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      await alpha.invalidate(["$a"]);
    });

    it("misses an event whose body is gone, and one whose body was damaged", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a"), messageEvent("$b")]);
      const [first, second] = await redis.keys(`${keyPrefix}:v1:body:`);
      await server().command("DEL", first!);
      await server().command("SET", second!, "something else");
      const { alpha: cold } = newAlpha();
      expect(await cold.hits("$a", "$b")).toEqual([]);
      expect(cold.stats().misses.orphaned).toBe(2);
    });

    it("fills a reply with bodies that are there, though those before them are gone", async () => {
      const { alpha } = newAlpha();
      const many = Array.from({ length: 150 }, (_, n) =>
        messageEvent(`$${n}`, { text: `${n} ${"x".repeat(60_000)}` }),
      );
      for (let at = 0; at < many.length; at += 25) await alpha.put(many.slice(at, at + 25));
      await server().command("DEL", ...(await redis.keys(`${keyPrefix}:v1:body:`)));
      const there = messageEvent("$there");
      await alpha.put([there]);
      const ids = [...many, there].map(({ eventId }) => eventId);
      const { alpha: cold } = newAlpha();
      const { events, loaded } = await cold.get(ids);
      expect(loaded).toBe(ids.length);
      expect(events.flatMap((hit) => hit?.eventId ?? [])).toEqual(["$there"]);
    });

    it("gives every key a time to live", async () => {
      const { store, alpha } = newAlpha();
      await store.renewWriterLease(ALPHA, writer("w"), token(""));
      await alpha.put([
        messageEvent("$a", { redaction: { redactedBy: "$r" as never, redactedBody: undefined } }),
      ]);
      await alpha.invalidate(["$x"]);
      await alpha.purgeRoom(ROOM);
      for (const one of await redis.keys(keyPrefix)) {
        expect(Number(await server().command("PTTL", one)), one).toBeGreaterThan(TTL_MS / 2);
      }
    });
  });

  describe("when Redis does not do its part", () => {
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
        const keys = await redis.keys(keyPrefix);
        for (let n = 0; n < 10; n++)
          await expect(alpha.put([messageEvent(`$b${n}`)])).rejects.toMatchObject(UNAVAILABLE);
        // Not half of it either.
        expect([...(await redis.keys(keyPrefix))].sort()).toEqual([...keys].sort());
        expect(troubles(store)["full"]).toBeGreaterThan(0);
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
        expect(troubles(store)["no_replicas"]).toBeGreaterThan(0);
      } finally {
        await server().command("CONFIG", "SET", "min-replicas-to-write", "0");
      }
      await alpha.invalidate(["$a"]);
    });

    it("believes no primary with fewer replicas than it must have", async () => {
      const { alpha } = newAlpha({ replicasMin: 1 });
      await expect(alpha.position()).rejects.toMatchObject(UNAVAILABLE);
    });

    it("names bad credentials, and works with good ones", async () => {
      // What docs/redis.md tells operators to allow.
      const allowed = "+@read +@write +@scripting +@connection +@pubsub +info +time +wait +cluster".split(
        " ",
      );
      const named = [`~${keyPrefix}:*`, `&${keyPrefix}:*`];
      await server().command("ACL", "SETUSER", "cache", "on", ">secret", ...named, ...allowed);
      const connect = (password: string) => {
        const target = { ...targetOf("single", [server().port]), username: "cache", password };
        const link = new PrimaryLink(target, () => performance.now(), QUIET);
        return newAlpha({ link }).alpha;
      };
      await expect(connect("wrong").position()).rejects.toMatchObject(UNAVAILABLE);
      const alpha = connect("secret");
      expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]);
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      await alpha.invalidate(["$a"]);
      expect((await subscriber.change()).kind).toBe("batch");
      await subscriber.close();
    });

    it("speaks TLS, and to nobody whose certificate it cannot trust", async () => {
      const folder = await mkdtemp(join(tmpdir(), "splitcache-tls-"));
      const [certificate, key] = [join(folder, "certificate.pem"), join(folder, "key.pem")];
      const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
      const named = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"];
      await promisify(execFile)("openssl", [
        ...["req", "-x509", ...made, ...named],
        ...["-keyout", key, "-out", certificate],
      ]);
      const tlsPort = await freePort();
      const files = [
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
        "--tls-ca-cert-file",
        certificate,
      ];
      const secure = await RedisProcess.start([
        ...["--tls-port", String(tlsPort), "--tls-auth-clients", "no"],
        ...files,
      ]);
      try {
        const connect = (ca: string | undefined) => {
          const target = { ...targetOf("single", [tlsPort]), tls: true, ca };
          return newAlpha({ link: new PrimaryLink(target, () => performance.now(), QUIET) }).alpha;
        };
        await expect(connect(undefined).position()).rejects.toMatchObject(UNAVAILABLE);
        const alpha = connect(await readFile(certificate, "utf8"));
        expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]);
        expect(await alpha.hits("$a")).toEqual(["$a"]);
      } finally {
        await secure.stop();
        await rm(folder, { recursive: true });
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

    it("believes nothing that a replica says", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${server().port}`]);
      try {
        await eventually(async () => expect(await replica.command("DBSIZE")).toBeGreaterThan(0));
        const link = new PrimaryLink(targetOf("single", [replica.port]), () => performance.now(), QUIET);
        const { alpha: astray, store } = newAlpha({ link });
        await expect(astray.get(["$a"])).rejects.toMatchObject(UNAVAILABLE);
        expect(troubles(store)["not_primary"]).toBeGreaterThan(0);
      } finally {
        await replica.stop();
      }
    });

    it("backs off from a server that takes connections and refuses all else", async () => {
      const replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${server().port}`]);
      const connectedAtMs: number[] = [];
      const log = { ...QUIET, connected: () => connectedAtMs.push(performance.now()) };
      const link = new PrimaryLink(targetOf("single", [replica.port]), () => performance.now(), log);
      try {
        const { alpha } = newAlpha({ link });
        await eventually(async () => {
          await expect(alpha.get(["$a"])).rejects.toMatchObject(UNAVAILABLE);
          expect(connectedAtMs.length).toBeGreaterThanOrEqual(6);
        });
        // Pauses of 50, 100, 200, 400 and 500 ms at least, whatever else takes time.
        expect(connectedAtMs[5]! - connectedAtMs[0]!).toBeGreaterThan(1200);
      } finally {
        await replica.stop();
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
      expect(troubles(store)).toMatchObject({ timeout: 0, disconnected: 0, other: 0 });
      expect(troubles(store)["no_replicas"]).toBeGreaterThan(0);
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
});
