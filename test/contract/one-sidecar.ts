import { describe, expect, it } from "vitest";
import {
  ID_BYTES_MAX,
  INTERNAL_METADATA_BYTES_MAX,
  REJECTED_REASON_BYTES_MAX,
} from "../../src/core/model/limits.js";
import type { Batch } from "../../src/core/model/types.js";
import { ALPHA, asHomeserver, type MakeStore, messageEvent } from "../support/store/store-harness.js";
import { useStores } from "../support/store/use-store.js";

/** What one sidecar must do that several together need not: a value is written through at one of them alone. */
export function describeOneSidecar(makeStore: MakeStore): void {
  describe("at one sidecar", () => {
    const newStore = useStores(makeStore);
    const newAlpha = (...options: Parameters<MakeStore>) => asHomeserver(newStore(...options).store, ALPHA);

    it("counts the fills that it stores and refuses", async () => {
      const alpha = newAlpha();
      const before = await alpha.position();
      await alpha.invalidate(["$a"]);
      await alpha.put([messageEvent("$a"), messageEvent("$b")], before);
      expect(alpha.stats().puts).toMatchObject({ fenced: 1, stored: 1 });
    });

    it("writes a redaction through when its writer's position is not fenced", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a", { text: "secret" })]);
      const result = await alpha.redact("$a", "$r", { asOf: await alpha.position() });
      expect(result.outcome).toBe("applied");
      expect(result.position).toEqual(await alpha.position());
      const [hit] = (await alpha.get(["$a"])).events;
      expect(hit?.state.redaction?.redactedBy).toBe("$r");
      expect(Buffer.from(hit!.state.redaction!.redactedBody!).toString()).not.toContain("secret");
    });

    it("keeps what it does not change: a rejection outlives a redaction, and the reverse", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a")]);
      await alpha.reject("$a", true, { asOf: await alpha.position(), reason: "auth" });
      await alpha.redact("$a", "$r", { asOf: await alpha.position() });
      expect((await alpha.get(["$a"])).events[0]?.state).toMatchObject({
        rejected: true,
        rejectedReason: "auth",
        redaction: { redactedBy: "$r" },
      });
      await alpha.reject("$a", false, { asOf: await alpha.position() });
      expect((await alpha.get(["$a"])).events[0]?.state).toMatchObject({
        rejected: false,
        redaction: { redactedBy: "$r" },
      });
    });

    it("keeps the largest metadata whole, beside an event without any, through every change", async () => {
      const alpha = newAlpha();
      const internalMetadata = Buffer.alloc(INTERNAL_METADATA_BYTES_MAX, "\u00ff\u0000\u0001", "latin1");
      const [id, by] = [longId("$a"), longId("$r")];
      const reason = "é".repeat(REJECTED_REASON_BYTES_MAX / 2);
      await alpha.put([messageEvent(id, { internalMetadata }), messageEvent("$b")]);
      await alpha.reject(id, true, { asOf: await alpha.position(), reason });
      await alpha.redact(id, by, { asOf: await alpha.position(), redactedBody: Buffer.from("{}") });
      const [first, absent, second, again] = (await alpha.get([id, "$none", "$b", id])).events;
      expect(absent).toBeUndefined();
      expect(second?.internalMetadata).toBe("");
      for (const hit of [first, again]) {
        expect(Buffer.from(hit!.internalMetadata, "latin1").equals(internalMetadata)).toBe(true);
        expect(hit!.state).toMatchObject({
          rejected: true,
          rejectedReason: reason,
          redaction: { redactedBy: by },
        });
      }
    });

    it("drops the entry when another change came between: of two writers that race neither value stays", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const before = await alpha.position();
      expect((await alpha.reject("$a", true, { asOf: before })).outcome).toBe("applied");
      expect((await alpha.reject("$a", false, { asOf: before })).outcome).toBe("dropped");
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("shows after a repeated call nothing that one call would not", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const asOf = await alpha.position();
      expect((await alpha.redact("$a", "$r", { asOf })).outcome).toBe("applied");
      expect((await alpha.redact("$a", "$r", { asOf })).outcome).toBe("dropped");
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("gives all subscribers at one place the same batch, of bounded size", async () => {
      const alpha = newAlpha();
      const before = await alpha.position();
      for (let at = 0; at < 2500; at++) await alpha.invalidate([`$${at}`]);
      const [one, other] = [alpha.subscribe(before), alpha.subscribe(before)];
      await one.frame();
      await other.frame();
      let sequence = before.sequence;
      while (sequence < before.sequence + 2500) {
        const batch = (await one.change()) as Batch;
        expect(await other.change()).toBe(batch);
        expect(batch.from.sequence).toBe(sequence);
        expect(batch.notices.length).toBeLessThanOrEqual(1000);
        sequence = batch.to.sequence;
      }
      await one.close();
      await other.close();
    });

    it("refuses more subscribers than its capacity", async () => {
      const alpha = newAlpha({ subscribersMax: 2 });
      const subscribers = [alpha.subscribe(), alpha.subscribe()];
      for (const subscriber of subscribers) await subscriber.frame();
      await expect(alpha.subscribe().frame()).rejects.toMatchObject({ kind: "exhausted" });
      await subscribers[0]!.close();
      const third = alpha.subscribe();
      expect((await third.frame()).kind).toBe("ready");
      await third.close();
      await subscribers[1]!.close();
    });
  });
}

const longId = (start: string) => start.padEnd(ID_BYTES_MAX, "x");
