import { describe, expect, it } from "vitest";
import type { Batch } from "../../src/core/model/types.js";
import { eventually } from "../support/eventually.js";
import { ALPHA, asHomeserver, eventId, messageEvent, ROOM } from "../support/store/store-harness.js";
import type { MakeSidecars } from "../support/store/three-sidecars.js";
import { useStores } from "../support/store/use-store.js";

/** What several sidecars over one log must do together. */
export function describeSidecars(makeSidecars: MakeSidecars): void {
  describe("of three sidecars", () => {
    const newSidecars = useStores(makeSidecars);
    const newAlphas = () => {
      const harness = newSidecars();
      const [one, two, three] = harness.sidecars.map((sidecar) => asHomeserver(sidecar, ALPHA));
      return { all: asHomeserver(harness.store, ALPHA), one: one!, two: two!, three: three! };
    };
    type Alpha = ReturnType<typeof newAlphas>["one"];

    it.each<[string, (alpha: Alpha) => Promise<unknown>]>([
      ["invalidated", (alpha) => alpha.invalidate(["$a"])],
      ["redacted", (alpha) => alpha.redact("$a", "$r")],
      ["rejected", (alpha) => alpha.reject("$a", true)],
      ["purged with its room", (alpha) => alpha.purgeRoom(ROOM)],
      ["purged with its homeserver", (alpha) => alpha.purge()],
      ["purged in a new epoch", (alpha) => alpha.purge(true)],
    ])("none serves an event once another one has confirmed that it was %s", async (_, change) => {
      const { all, one, two, three } = newAlphas();
      await all.put([messageEvent("$a")]);
      for (const alpha of [one, two, three]) expect(await alpha.hits("$a")).toEqual(["$a"]);
      await change(two);
      // At once, in one turn: the confirmation itself says that each has applied it.
      const hits = await Promise.all([one, two, three].map((alpha) => alpha.hits("$a")));
      expect(hits).toEqual([[], [], []]);
    });

    it("one writes a value through, the others drop the entry", async () => {
      const { all, one, two, three } = newAlphas();
      await all.put([messageEvent("$a", { text: "secret" })]);
      const asOf = await three.position();
      expect((await two.redact("$a", "$r", { asOf })).outcome).toBe("applied");
      const [hit] = (await two.get(["$a"])).events;
      expect(hit?.state.redaction?.redactedBy).toBe("$r");
      for (const other of [one, three]) {
        // With a tier it may have the new value from there.
        const [found] = (await other.get(["$a"])).events;
        expect(found?.state.redaction?.redactedBy ?? "$r").toBe("$r");
      }
    });

    it("none keeps the value of either of two writers that race at two of them", async () => {
      const { all, one, two, three } = newAlphas();
      await all.put([messageEvent("$a")]);
      const asOf = await three.position();
      const [left, right] = await Promise.all([
        one.reject("$a", true, { asOf, reason: "one" }),
        two.reject("$a", true, { asOf, reason: "two" }),
      ]);
      expect([left, right].filter(({ outcome }) => outcome === "applied").length).toBeLessThanOrEqual(1);
      for (const alpha of [one, two, three]) expect(await alpha.hits("$a")).toEqual([]);
    });

    it("each knows the positions of the others", async () => {
      const { all, one, two, three } = newAlphas();
      await all.put([messageEvent("$a")]);
      const position = await one.invalidate(["$b"]);
      for (const alpha of [two, three]) {
        expect(await alpha.position()).toEqual(position);
        expect((await alpha.get(["$a"], { minPosition: position })).events[0]).toBeDefined();
      }
    });

    it("each judges a fill by a position of another one", async () => {
      const { one, two, three } = newAlphas();
      const before = await one.position();
      await two.invalidate(["$a"]);
      const fill = [messageEvent("$a"), messageEvent("$b")];
      expect(await three.put(fill, before)).toEqual(["fenced", "stored"]);
      expect(await three.put(fill, await one.position())).toEqual(["stored", "stored"]);
    });

    it("each resumes a subscriber of another one with exactly what came between", async () => {
      const { one, two, three } = newAlphas();
      const subscriber = one.subscribe();
      const first = await two.invalidate(["$1"]);
      await subscriber.frame();
      await subscriber.close();
      const last = await three.invalidate(["$2"]);
      const resumed = two.subscribe(first);
      expect(await resumed.frame()).toEqual({ kind: "ready", position: first, resumed: true });
      const batch = (await resumed.change()) as Batch;
      expect([batch.from, batch.to]).toEqual([first, last]);
      expect(batch.notices).toMatchObject([{ change: { eventIds: ["$2"] } }]);
      await resumed.close();
    });

    it("all give their subscribers the same notices in the same order", async () => {
      const { one, two, three } = newAlphas();
      const subscribers = [one, two, three].map((alpha) => alpha.subscribe());
      for (const subscriber of subscribers) await subscriber.frame();
      const changes = [one, two, three, one, two, three];
      const positions = await Promise.all(changes.map((alpha, at) => alpha.invalidate([`$${at}`])));
      const last = Math.max(...positions.map(({ sequence }) => sequence));
      const heard = await Promise.all(
        subscribers.map(async (subscriber) => {
          const notices: unknown[] = [];
          for (;;) {
            const batch = (await subscriber.change()) as Batch;
            notices.push(...batch.notices);
            if (batch.to.sequence >= last) return notices;
          }
        }),
      );
      expect(heard[0]).toHaveLength(changes.length);
      expect(heard).toEqual([heard[0], heard[0], heard[0]]);
      for (const subscriber of subscribers) await subscriber.close();
    });

    it("all reset their subscribers when one begins a new epoch, and refuse positions of the old one", async () => {
      const { one, two, three } = newAlphas();
      const before = await one.position();
      const subscribers = [two, three].map((alpha) => alpha.subscribe());
      for (const subscriber of subscribers) await subscriber.frame();
      const position = await one.purge(true);
      for (const subscriber of subscribers) {
        expect(await subscriber.change()).toEqual({ kind: "reset", reason: "wrongEpoch", position });
        await subscriber.close();
      }
      for (const alpha of [two, three]) {
        expect(await alpha.put([messageEvent("$a")], before)).toEqual(["wrongEpoch"]);
      }
    });
  });
}

/** What a tier brings from one sidecar to another. */
export function describeSharedTier(makeSidecars: MakeSidecars): void {
  describe("of three sidecars with a tier", () => {
    const newSidecars = useStores(makeSidecars);

    it("each has what another one has stored", async () => {
      const { sidecars, tiersReady } = newSidecars();
      await tiersReady();
      const [one, two, three] = sidecars.map((sidecar) => asHomeserver(sidecar, ALPHA));
      await one!.put([messageEvent("$a", { rejected: true, rejectedReason: "auth" })]);
      for (const alpha of [two!, three!]) {
        await eventually(async () => expect(await alpha.hits("$a")).toEqual(["$a"]));
        const [hit] = (await alpha.get(["$a"])).events;
        expect(hit?.state).toMatchObject({ rejected: true, rejectedReason: "auth" });
      }
    });

    it("none serves what the tier has from before a change at another one", async () => {
      const { sidecars, tiers, tiersReady } = newSidecars();
      await tiersReady();
      const [one, two, three] = sidecars.map((sidecar) => asHomeserver(sidecar, ALPHA));
      const asOf = await one!.position();
      await two!.redact("$a", "$r");
      for (const [at, tier] of tiers.entries()) {
        const { written } = tier.status().entries;
        tier.put(ALPHA, [{ event: messageEvent("$a"), asOf, expiresAtMs: 60_000 }]);
        await eventually(() => expect(tier.status().entries.written).toBe(written + 1));
        const found = await tiers[(at + 1) % tiers.length]!.get(ALPHA, [eventId("$a")]);
        expect(found).toHaveLength(1);
        for (const alpha of [one!, two!, three!]) expect(await alpha.hits("$a")).toEqual([]);
      }
    });
  });
}
