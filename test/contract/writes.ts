import { describe, expect, it } from "vitest";
import { encodedBody } from "../../src/core/memory/encoded-event.js";
import type { Epoch, Position } from "../../src/core/model/types.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  type MakeStore,
  messageEvent,
  OTHER_ROOM,
  ROOM,
} from "../support/store/store-harness.js";
import { useStores } from "../support/store/use-store.js";

export function describeWrites(makeStore: MakeStore): void {
  describe("the fence", () => {
    const newStore = useStores(makeStore);
    const newAlpha = (...options: Parameters<MakeStore>) => asHomeserver(newStore(...options).store, ALPHA);

    it.each<[string, (alpha: ReturnType<typeof newAlpha>) => Promise<unknown>]>([
      ["invalidated", (alpha) => alpha.invalidate(["$a"])],
      ["redacted", (alpha) => alpha.redact("$a", "$r")],
      ["rejected", (alpha) => alpha.reject("$a", true)],
      ["purged with its room", (alpha) => alpha.purgeRoom(ROOM)],
      ["purged with its homeserver", (alpha) => alpha.purge()],
    ])("refuses a fill that was read before the event was %s", async (_, change) => {
      const alpha = newAlpha();
      const before = await alpha.position();
      await change(alpha);
      expect(await alpha.put([messageEvent("$a")], before)).toEqual(["fenced"]);
      expect(await alpha.hits("$a")).toEqual([]);
      expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]);
    });

    it("fences the events that were named, and no others", async () => {
      const alpha = newAlpha();
      const before = await alpha.position();
      await alpha.invalidate(["$a"], ROOM);
      await alpha.purgeRoom(OTHER_ROOM);
      const events = [messageEvent("$a"), messageEvent("$b"), messageEvent("$c", { roomId: OTHER_ROOM })];
      expect(await alpha.put(events, before)).toEqual(["fenced", "stored", "fenced"]);
    });

    it("fences by event ID in any room, also while the event is evicted or was never stored", async () => {
      const alpha = newAlpha();
      const before = await alpha.position();
      await alpha.invalidate(["$a"], OTHER_ROOM);
      expect(await alpha.put([messageEvent("$a")], before)).toEqual(["fenced"]);
    });

    it("keeps one homeserver's changes from fencing another's fills", async () => {
      const { store } = newStore();
      const [alpha, beta] = [asHomeserver(store, ALPHA), asHomeserver(store, BETA)];
      const before = await beta.position();
      await alpha.invalidate(["$a"]);
      await alpha.purgeRoom(ROOM);
      await alpha.purge();
      expect(await beta.put([messageEvent("$a")], before)).toEqual(["stored"]);
    });

    it("refuses a position of another epoch, and a position ahead of the log", async () => {
      const alpha = newAlpha();
      const position = await alpha.position();
      const other: Position = { ...position, epoch: "ab".repeat(16) as Epoch };
      const ahead: Position = { ...position, sequence: position.sequence + 1 };
      expect(await alpha.put([messageEvent("$a")], other)).toEqual(["wrongEpoch"]);
      expect(await alpha.put([messageEvent("$a")], ahead)).toEqual(["wrongEpoch"]);
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("refuses a position that is older than the log reaches, even for events that did not change", async () => {
      const alpha = newAlpha();
      const before = await alpha.position();
      for (let at = 0; at < 140; at++) {
        await alpha.invalidate(Array.from({ length: 500 }, (_, n) => `$${at}-${n}`));
      }
      expect(alpha.stats().logEventIds).toBeLessThanOrEqual(65_536);
      expect(await alpha.put([messageEvent("$a")], before)).toEqual(["tooOld"]);
    });

    it("counts the last of two events with one ID, and gives both its outcome", async () => {
      const alpha = newAlpha();
      const before = await alpha.position();
      await alpha.purgeRoom(OTHER_ROOM);
      const [kept, lost] = [messageEvent("$a", { text: "last" }), messageEvent("$a", { roomId: OTHER_ROOM })];
      expect(await alpha.put([kept, lost], before)).toEqual(["fenced", "fenced"]);
      expect(await alpha.hits("$a")).toEqual([]);
      expect(await alpha.put([lost, kept], before)).toEqual(["stored", "stored"]);
      expect(encodedBody((await alpha.get(["$a"])).events[0]!.encoded)).toEqual(kept.body);
    });

    it("stores nothing for an empty put", async () => {
      const alpha = newAlpha();
      expect(await alpha.put([])).toEqual([]);
    });
  });

  describe("changes", () => {
    const newStore = useStores(makeStore);
    const newAlpha = () => asHomeserver(newStore().store, ALPHA);

    it("drops the entry when no position is given", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a"), messageEvent("$b")]);
      expect((await alpha.redact("$a", "$r")).outcome).toBe("dropped");
      expect((await alpha.reject("$b", true)).outcome).toBe("dropped");
      expect(await alpha.hits("$a", "$b")).toEqual([]);
      expect((await alpha.redact("$a", "$r")).outcome).toBe("absent");
    });

    it("drops the entry for a position of another epoch", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const other = { ...(await alpha.position()), epoch: "ab".repeat(16) as Epoch };
      expect((await alpha.redact("$a", "$r", { asOf: other })).outcome).toBe("dropped");
    });

    it("drops the entry when the caller's room contradicts it", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const asOf = await alpha.position();
      expect((await alpha.redact("$a", "$r", { asOf, room: OTHER_ROOM })).outcome).toBe("dropped");
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("announces a change of an event that is not there", async () => {
      const alpha = newAlpha();
      const before = await alpha.position();
      const result = await alpha.redact("$a", "$r", { asOf: before });
      expect(result).toEqual({ outcome: "absent", position: { ...before, sequence: before.sequence + 1 } });
      expect(await alpha.put([messageEvent("$a")], before)).toEqual(["fenced"]);
    });

    it("drops what InvalidateEvents names, under any room", async () => {
      const alpha = newAlpha();
      await alpha.put([messageEvent("$a"), messageEvent("$b"), messageEvent("$c")]);
      await alpha.invalidate(["$a", "$a", "$x"], OTHER_ROOM);
      expect(await alpha.hits("$a", "$b", "$c")).toEqual(["$b", "$c"]);
      await alpha.invalidate(["$b"]);
      expect(await alpha.hits("$a", "$b", "$c")).toEqual(["$c"]);
    });

    it("drops all of a homeserver and nothing of another", async () => {
      const { store } = newStore();
      const [alpha, beta] = [asHomeserver(store, ALPHA), asHomeserver(store, BETA)];
      for (const one of [alpha, beta]) await one.put([messageEvent("$a"), messageEvent("$b")]);
      await alpha.purge();
      expect(await alpha.hits("$a", "$b")).toEqual([]);
      expect(await beta.hits("$a", "$b")).toEqual(["$a", "$b"]);
    });

    it("gives every change one sequence number, without gaps", async () => {
      const alpha = newAlpha();
      const { epoch, sequence } = await alpha.position();
      const positions = [
        (await alpha.redact("$a", "$r")).position,
        (await alpha.reject("$a", true)).position,
        await alpha.invalidate(["$a", "$b"]),
        await alpha.purgeRoom(ROOM),
        await alpha.purge(),
      ];
      expect(positions).toEqual([1, 2, 3, 4, 5].map((step) => ({ epoch, sequence: sequence + step })));
    });
  });
}
