import { describe, expect, it } from "vitest";
import type { LeaseToken } from "../../src/core/types.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  LEASE_MS,
  type MakeStore,
  messageEvent,
  token,
  writer,
} from "../support/store-harness.js";
import { useStores } from "../support/use-store.js";

export function describeLeases(makeStore: MakeStore): void {
  describe("writer leases", () => {
    const newStore = useStores(makeStore);
    const [W1, W2] = [writer("persister-1"), writer("persister-2")];
    const newAlpha = () => {
      const harness = newStore();
      const { store } = harness;
      return {
        ...harness,
        alpha: asHomeserver(store, ALPHA),
        declare: (...writers: ReturnType<typeof writer>[]) => store.declareWriters(ALPHA, writers),
        renew: (name: ReturnType<typeof writer>, held: LeaseToken = token("")) =>
          store.renewWriterLease(ALPHA, name, held),
        release: (name: ReturnType<typeof writer>, held: LeaseToken = token("")) =>
          store.releaseWriterLease(ALPHA, name, held),
      };
    };

    it("knows no suspension while no writer is named", async () => {
      const { declare } = newAlpha();
      expect(await declare()).toMatchObject({ suspended: false, leaseDurationMs: LEASE_MS });
    });

    it("suspends while a named writer holds no lease: reads miss, puts are refused", async () => {
      const { alpha, declare } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      expect((await declare(W1)).suspended).toBe(true);
      expect(await alpha.hits("$a")).toEqual([]);
      expect(await alpha.put([messageEvent("$a")])).toEqual(["suspended"]);
      expect(alpha.stats()).toMatchObject({ suspended: true, writers: 1, misses: { suspended: 1 } });
    });

    it("goes on when every named writer holds a lease or has released it", async () => {
      const { alpha, declare, renew, release } = newAlpha();
      await declare(W1, W2);
      expect((await renew(W1)).suspended).toBe(true);
      const granted = await renew(W2);
      expect(granted.suspended).toBe(false);
      expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]);
      await release(W2, granted.token);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
    });

    it("starts a new epoch on entering and on leaving suspension, and nothing from before counts", async () => {
      const { alpha, declare, renew } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const before = await alpha.position();
      const suspended = (await declare(W1)).position;
      const after = (await renew(W1)).position;
      expect(new Set([before.epoch, suspended.epoch, after.epoch]).size).toBe(3);
      expect(await alpha.hits("$a")).toEqual([]);
      for (const position of [before, suspended]) {
        expect(await alpha.put([messageEvent("$a")], position)).toEqual(["wrongEpoch"]);
      }
    });

    it("suspends at the very moment a lease runs out, judged by the call that comes next", async () => {
      const { alpha, renew, advance, logged } = newAlpha();
      const granted = await renew(W1);
      await alpha.put([messageEvent("$a")]);
      await advance(LEASE_MS - 1);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      await advance(1);
      expect(await alpha.hits("$a")).toEqual([]);
      expect(logged).toContain(`${ALPHA} lapsed ${W1} ${granted.token}`);
    });

    it("lets a lease run from the moment its token was issued: a late renewal prolongs nothing", async () => {
      const { alpha, renew, advance } = newAlpha();
      const first = await renew(W1);
      await advance(LEASE_MS - 1);
      await renew(W1, first.token);
      await alpha.put([messageEvent("$a")]);
      await advance(1);
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("keeps a lease alive that is renewed in time", async () => {
      const { alpha, renew, advance } = newAlpha();
      let held = await renew(W1);
      await alpha.put([messageEvent("$a")]);
      for (let second = 0; second < 30; second++) {
        await advance(1000);
        held = await renew(W1, held.token);
        expect(held.suspended).toBe(false);
      }
      expect(await alpha.hits("$a")).toEqual(["$a"]);
    });

    it("takes any token of the live lease, since the last reply may have been lost", async () => {
      const { alpha, renew, advance } = newAlpha();
      const first = await renew(W1);
      await advance(1000);
      await renew(W1, first.token);
      await alpha.put([messageEvent("$a")]);
      const again = await renew(W1, first.token);
      expect(again.suspended).toBe(false);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      // It still runs from the token that was carried.
      await advance(LEASE_MS - 1000);
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it.each<[string, (tokens: { lapsed: LeaseToken; foreign: LeaseToken }) => LeaseToken]>([
      ["none", () => token("")],
      ["a lapsed one", ({ lapsed }) => lapsed],
      ["a foreign one", ({ foreign }) => foreign],
    ])(
      "takes a renewal with another token for a new process, and ends the live lease: %s",
      async (_, pick) => {
        const { alpha, renew, advance } = newAlpha();
        const lapsed = (await renew(W1)).token;
        await advance(LEASE_MS);
        await renew(W1, lapsed);
        const foreign = (await renew(W2)).token;
        await alpha.put([messageEvent("$a")]);
        const before = await alpha.position();
        const taken = await renew(W1, pick({ lapsed, foreign }));
        expect(taken.suspended).toBe(false);
        expect(taken.position.epoch).not.toBe(before.epoch);
        expect(await alpha.hits("$a")).toEqual([]);
      },
    );

    it("declares the name of a renewal", async () => {
      const { alpha, renew, advance } = newAlpha();
      await renew(W1);
      expect(alpha.stats().writers).toBe(1);
      await advance(LEASE_MS);
      expect((await alpha.get([])).events).toEqual([]);
      expect(alpha.stats().suspended).toBe(true);
    });

    it("releases a lease by its token, and ignores a release of another lease", async () => {
      const { alpha, renew, release, advance } = newAlpha();
      const first = await renew(W1);
      const second = await renew(W1);
      await release(W1, first.token);
      await release(W1);
      await alpha.put([messageEvent("$a")]);
      await advance(LEASE_MS);
      expect(await alpha.hits("$a")).toEqual([]);
      await release(W1, second.token);
      expect(alpha.stats().suspended).toBe(false);
    });

    it("keeps a released writer's homeserver going for ever, without a new epoch", async () => {
      const { alpha, renew, release, advance } = newAlpha();
      const held = await renew(W1);
      await alpha.put([messageEvent("$a")]);
      const before = await alpha.position();
      expect(await release(W1, held.token)).toEqual(before);
      await advance(10 * LEASE_MS);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
    });

    it("lets an empty token release only a writer that never got a lease", async () => {
      const { alpha, declare, renew, release, advance } = newAlpha();
      await declare(W1, W2);
      await release(W1);
      await renew(W2);
      expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]);
      await advance(LEASE_MS);
      await release(W2);
      expect(await alpha.hits("$a")).toEqual([]);
      expect(alpha.stats().suspended).toBe(true);
    });

    it("lets an operator release a dead writer by the token that was logged, not one that came back", async () => {
      const { alpha, renew, release, advance, logged } = newAlpha();
      await renew(W1);
      await advance(LEASE_MS);
      await alpha.position();
      const dead = token(
        logged
          .find((line) => line.includes("lapsed"))!
          .split(" ")
          .at(-1)!,
      );
      const back = await renew(W1);
      await release(W1, dead);
      await advance(LEASE_MS);
      await alpha.position();
      expect(alpha.stats().suspended).toBe(true);
      await release(W1, back.token);
      expect(alpha.stats().suspended).toBe(false);
    });

    it("always announces changes while suspended, and applies none", async () => {
      const { alpha, declare } = newAlpha();
      const { position } = await declare(W1);
      expect(await alpha.redact("$a", "$r", { asOf: position })).toEqual({
        outcome: "absent",
        position: { ...position, sequence: 1 },
      });
    });

    it("judges each homeserver by its own writers", async () => {
      const { store, declare } = newAlpha();
      const beta = asHomeserver(store, BETA);
      await declare(W1);
      expect(await beta.put([messageEvent("$a")])).toEqual(["stored"]);
    });

    it("refuses more than a hundred writers, and adds none of them", async () => {
      const { alpha, declare } = newAlpha();
      const names = Array.from({ length: 101 }, (_, at) => writer(`w${at}`));
      await expect(declare(...names)).rejects.toMatchObject({
        kind: "invalidArgument",
        violations: [{ field: "writers" }],
      });
      expect(alpha.stats().writers).toBe(0);
      await declare(...names.slice(1), names[1]!);
      expect(alpha.stats().writers).toBe(100);
    });
  });
}
