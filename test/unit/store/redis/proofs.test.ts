import { describe, expect, it } from "vitest";
import type { ProofCall, RedisLink } from "../../../../src/store/redis/link.js";
import { Proofs } from "../../../../src/store/redis/proofs.js";
import { makeScripts, SERVER_CLOCK } from "../../../../src/store/redis/scripts.js";

const LEASE_MS = 5000;

/** Servers by the keys that they have: each a replication ID, or undefined while it does not answer. */
function makeProofs(servers: Map<string, string | undefined>) {
  let nowMs = 0;
  let serverAheadMs = 1_000_000;
  const troubles: string[] = [];
  const asked: string[] = [];
  const link: Pick<RedisLink, "prove"> = {
    prove: async ({ key }: ProofCall) => {
      asked.push(key);
      const replicationId = servers.get(key);
      if (replicationId === undefined) throw new Error(`no answer about ${key}`);
      const reply = [replicationId, 0, nowMs + serverAheadMs, `run of ${replicationId}`, 1];
      return { reply, acknowledged: 0 };
    },
  };
  const proofs = new Proofs({
    link: link as RedisLink,
    script: makeScripts(SERVER_CLOCK).proof,
    replicasMin: 0,
    leaseDurationMs: LEASE_MS,
    lifetimeMs: 2000,
    clock: () => nowMs,
    onTrouble: (error) => troubles.push(String(error)),
  });
  return {
    proofs,
    troubles,
    asked,
    setClockBack: (ms: number) => {
      serverAheadMs -= ms;
    },
    use: (key: string) => proofs.confirm({ replicationId: servers.get(key)!, replicas: 0 }, key),
    async pass(seconds: number) {
      for (let second = 0; second < seconds; second++) {
        nowMs += 1000;
        proofs.tick();
        await new Promise(setImmediate);
      }
    },
  };
}

describe("proofs that servers are the primaries", () => {
  it("are not well while one server is away, for however long, though another is proven", async () => {
    const servers = new Map<string, string | undefined>([
      ["a", "one"],
      ["b", "two"],
    ]);
    const { proofs, use, pass } = makeProofs(servers);
    expect([await use("a"), await use("b"), proofs.isWell]).toEqual([true, true, true]);
    servers.set("a", undefined);
    for (let minute = 0; minute < 10; minute++) {
      await pass(60);
      expect(proofs.isWell).toBe(false);
    }
    servers.set("a", "three");
    await pass(1);
    expect(proofs.isWell).toBe(true);
  });

  it("are well again once the server of a call that got no answer is proven, without another call", async () => {
    const servers = new Map<string, string | undefined>([
      ["a", undefined],
      ["b", undefined],
    ]);
    const { proofs, asked, pass } = makeProofs(servers);
    expect(proofs.isWell).toBe(true);
    for (const key of servers.keys()) proofs.doubt(key);
    await pass(100);
    expect(proofs.isWell).toBe(false);
    expect(asked).toHaveLength(100);
    servers.set("b", "two");
    await pass(1);
    expect(proofs.isWell).toBe(false);
    servers.set("a", "one");
    await pass(1);
    expect(proofs.isWell).toBe(true);
  });

  it("begin with a key of no call, and forget it once the server of another one is proven", async () => {
    const servers = new Map<string, string | undefined>([
      ["start", undefined],
      ["a", undefined],
    ]);
    const { proofs, asked, use, pass } = makeProofs(servers);
    proofs.start("start");
    await pass(1);
    expect([proofs.isWell, asked]).toEqual([false, ["start"]]);
    servers.set("a", "one");
    expect([await use("a"), proofs.isWell]).toEqual([true, true]);
    asked.length = 0;
    await pass(2);
    expect(asked).toEqual(["a", "a"]);
  });

  it("are well of a server that no call needs until there is a call", async () => {
    const servers = new Map<string, string | undefined>([
      ["start", "one"],
      ["a", "two"],
    ]);
    const { proofs, use, pass } = makeProofs(servers);
    proofs.start("start");
    await pass(1);
    expect(proofs.isWell).toBe(true);
    servers.set("start", undefined);
    await pass(1);
    expect(proofs.isWell).toBe(false);
    expect([await use("a"), proofs.isWell]).toEqual([true, true]);
  });

  it("are not well for a lease after the server's clock was set back by little, and say so", async () => {
    const servers = new Map<string, string | undefined>([["a", "one"]]);
    const { proofs, troubles, setClockBack, use, pass } = makeProofs(servers);
    expect(await use("a")).toBe(true);
    setClockBack(500);
    await pass(1);
    expect([await use("a"), proofs.isWell]).toEqual([false, false]);
    expect(troubles).toHaveLength(1);
    expect(troubles[0]).toContain("clock was set back");
    await pass(LEASE_MS / 1000);
    expect([await use("a"), proofs.isWell, troubles.length]).toEqual([true, true, 1]);
  });
});
