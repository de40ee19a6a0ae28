import { describe, expect, it } from "vitest";
import type { Change } from "../../../src/client/changes.js";
import { event, useClients } from "../../support/client/use-clients.js";
import { eventually } from "../../support/eventually.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";
import type { TestServer } from "../../support/server/start-server.js";

const NEAR = { nearCache: { maxBytes: 2 ** 20 } };

describe("SplitCache over a bad network", () => {
  const { start, connect, ends } = useClients();

  const portOf = ({ address }: TestServer) => Number(address.split(":").at(-1));

  /** A sidecar with one event, a way to it, and the address of that way. */
  async function linked() {
    const server = await start();
    const proxy = await LinkProxy.start(portOf(server));
    ends.push(() => proxy.stop());
    const direct = await connect(server.address);
    await direct.put([event("$a")], await direct.position());
    return { server, proxy, direct, address: `127.0.0.1:${proxy.port}` };
  }

  it("repeats a lookup whose stream broke", async () => {
    const { proxy, address } = await linked();
    const cache = await connect(address, { timeoutMs: 10_000 });
    await cache.getMany(["$a"]);
    proxy.set({ fromServer: "held" });
    const reading = cache.getMany(["$a"]);
    await eventually(() => expect(cache.counters.reads.requests).toBe(2));
    proxy.set({});
    proxy.drop();
    expect((await reading).events).toHaveLength(1);
  });

  it("ends a lookup at its deadline while the sidecar is frozen, and works again after it", async () => {
    const { proxy, address } = await linked();
    const cache = await connect(address, { timeoutMs: 300 });
    await eventually(async () => expect((await cache.getMany(["$a"])).events).toHaveLength(1));
    proxy.set({ fromServer: "held" });
    await expect(cache.getMany(["$a"])).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    const fetched = await cache.getOrFetch(["$a"], () => [event("$a", "database")]);
    expect(String(fetched.get("$a")?.body)).toContain("database");
    expect(cache.counters.fills.skipped).toBe(1);
    proxy.set({});
    await eventually(async () => expect((await cache.getMany(["$a"])).events).toHaveLength(1));
  });

  it("ends a call when its signal is aborted, with the signal's reason, and shares one listener", async () => {
    const { proxy, address } = await linked();
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on("warning", warned);
    ends.push(async () => void process.off("warning", warned));
    const cache = await connect(address, { timeoutMs: 20_000 });
    proxy.set({ fromServer: "held" });
    const stop = new AbortController();
    const calls = Array.from({ length: 50 }, (_, n) =>
      n % 2 === 0
        ? cache.getMany([`$${n}`], { signal: stop.signal })
        : cache.invalidate(["$b"], { signal: stop.signal }),
    );
    stop.abort(new Error("enough"));
    const results = await Promise.allSettled(calls);
    for (const result of results) expect(result).toMatchObject({ reason: { message: "enough" } });
    await expect(cache.getMany(["$a"], { signal: stop.signal })).rejects.toThrow("enough");
    expect(warnings).toEqual([]);
  });

  it("serves nothing from the near cache while positions do not come, and all of it when they do again", async () => {
    const { proxy, address } = await linked();
    const cache = await connect(address, NEAR);
    await eventually(async () => {
      await cache.getMany(["$a"]);
      expect(cache.getKept(["$a"])).toBeDefined();
    });
    const kept = cache.getKept(["$a"])?.[0];
    proxy.set({ fromServer: "held" });
    await eventually(() => expect(cache.getKept(["$a"])).toBeUndefined());
    expect(cache.freshness).toBeGreaterThanOrEqual(2000);
    proxy.set({});
    await eventually(() => expect(cache.getKept(["$a"])?.[0]).toBe(kept));
  });

  it("resumes after a break, so that a change during it is neither served nor skipped", async () => {
    const { proxy, address, direct } = await linked();
    const cache = await connect(address, NEAR);
    await eventually(async () => {
      await cache.getMany(["$a"]);
      expect(cache.getKept(["$a"])).toBeDefined();
    });
    proxy.set({ fromServer: "held" });
    proxy.drop();
    await direct.invalidate(["$a"]);
    proxy.set({});
    await eventually(() => expect(cache.counters.near?.notices).toBe(1));
    expect(cache.counters.near?.resets).toBe(1);
    expect(cache.getKept(["$a"])).toBeUndefined();
  });

  it("yields a Reset as an item when another sidecar answers, and goes on", async () => {
    const { proxy, address } = await linked();
    const other = await start();
    const cache = await connect(address);
    const stop = new AbortController();
    const seen: Change[] = [];
    const following = (async () => {
      for await (const change of cache.changes({ signal: stop.signal })) seen.push(change);
    })();
    await eventually(() => expect(seen).toMatchObject([{ kind: "ready", resumed: false }]));
    proxy.lead(portOf(other), { drops: true });
    await eventually(() => expect(seen[1]).toMatchObject({ kind: "reset", reason: "wrong epoch" }));
    await eventually(() => cache.purgeRoom("!room"));
    await eventually(() => expect(seen[2]).toMatchObject({ kind: "roomPurged", roomId: "!room" }));
    stop.abort();
    await following;
  });

  it("uses the cache no more when an epoch comes back: two logs answer", async () => {
    const { server, proxy, address } = await linked();
    const other = await start();
    const warnings: string[] = [];
    const cache = await connect(address, { timeoutMs: 5000, onWarning: (text) => warnings.push(text) });
    expect((await cache.getMany(["$a"])).events).toHaveLength(1);
    proxy.lead(portOf(other), { drops: true });
    expect((await cache.getMany(["$a"])).missing).toEqual(["$a"]);
    proxy.lead(portOf(server), { drops: true });
    expect(await cache.getMany(["$a"])).toEqual({ events: [], missing: ["$a"], asOf: undefined });
    expect(cache.counters.hasTwoLogs).toBe(true);
    expect(warnings).toEqual(["two separate invalidation logs answer: the cache is not used any more"]);
    await cache.invalidate(["$a"]);
  });

  it("rejects what waits when it is closed, and may be closed twice", async () => {
    const { proxy, address } = await linked();
    const cache = await connect(address, { ...NEAR, timeoutMs: 20_000 });
    proxy.set({ fromServer: "held" });
    const reading = cache.getMany(["$a"]);
    const rejected = expect(reading).rejects.toMatchObject({ code: "CLOSED" });
    await cache.close();
    await rejected;
    await cache.close();
    await expect(cache.getMany(["$a"])).rejects.toMatchObject({ code: "CLOSED" });
  });
});
