import { describe, expect, it } from "vitest";
import type { Batch, Change, Epoch } from "../../src/core/model/types.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  type MakeStore,
  messageEvent,
  OTHER_ROOM,
  ROOM,
  type TestSubscriber,
} from "../support/store/store-harness.js";
import { useStores } from "../support/store/use-store.js";

export function describeSubscriptions(makeStore: MakeStore): void {
  describe("subscriptions", () => {
    const newStore = useStores(makeStore);
    const newAlpha = (...options: Parameters<MakeStore>) => {
      const harness = newStore(...options);
      return { ...harness, alpha: asHomeserver(harness.store, ALPHA) };
    };

    it("begins at the current position with Ready", async () => {
      const { alpha } = newAlpha();
      const position = await alpha.invalidate(["$before"]);
      const subscriber = alpha.subscribe();
      expect(await subscriber.frame()).toEqual({ kind: "ready", position, resumed: false });
      await alpha.invalidate(["$after"]);
      expect(await changesUntil(subscriber, position.sequence + 1)).toEqual([
        { kind: "invalidated", roomId: undefined, eventIds: ["$after"] },
      ]);
      await subscriber.close();
    });

    it("delivers every change in order, as it was made", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a"), messageEvent("$b"), messageEvent("$c")]);
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      await alpha.redact("$a", "$r");
      await alpha.reject("$b", true, { room: ROOM });
      await alpha.invalidate(["$c", "$c"]);
      await alpha.invalidate(["$x"], OTHER_ROOM);
      await alpha.purgeRoom(OTHER_ROOM);
      const { sequence } = await alpha.purge();
      expect(await changesUntil(subscriber, sequence)).toEqual([
        { kind: "redacted", roomId: ROOM, eventId: "$a", redactedBy: "$r" },
        { kind: "rejected", roomId: ROOM, eventId: "$b", rejected: true },
        { kind: "invalidated", roomId: ROOM, eventIds: ["$c"] },
        { kind: "invalidated", roomId: OTHER_ROOM, eventIds: ["$x"] },
        { kind: "roomPurged", roomId: OTHER_ROOM },
        { kind: "homeserverPurged" },
      ]);
      await subscriber.close();
    });

    it("names no room where the entries do not agree on one", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a"), messageEvent("$b", { roomId: OTHER_ROOM })]);
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      await alpha.invalidate(["$a", "$b"]);
      const { sequence } = await alpha.invalidate(["$a", "$unknown"]);
      const changes = await changesUntil(subscriber, sequence);
      expect(changes.map((change) => "roomId" in change && change.roomId)).toEqual([undefined, undefined]);
      await subscriber.close();
    });

    it("tells nothing of another homeserver", async () => {
      const { store, alpha } = newAlpha();
      const beta = asHomeserver(store, BETA);
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      await beta.invalidate(["$b"]);
      await alpha.invalidate(["$a"]);
      expect(await subscriber.change()).toMatchObject({ notices: [{ change: { eventIds: ["$a"] } }] });
      await subscriber.close();
    });

    it("resumes after a position with exactly what came after it", async () => {
      const { alpha } = newAlpha();
      const first = await alpha.invalidate(["$1"]);
      await alpha.invalidate(["$2"]);
      const last = await alpha.invalidate(["$3"]);
      const subscriber = alpha.subscribe(first);
      expect(await subscriber.frame()).toEqual({ kind: "ready", position: first, resumed: true });
      const batch = (await subscriber.change()) as Batch;
      expect(batch.from).toEqual(first);
      expect(batch.to).toEqual(last);
      expect(batch.notices.map(({ sequence }) => sequence)).toEqual([first.sequence + 1, first.sequence + 2]);
      await subscriber.close();
    });

    it("resets a subscriber from another epoch, or from ahead of the log", async () => {
      const { alpha } = newAlpha();
      const position = await alpha.invalidate(["$1"]);
      const other = { ...position, epoch: "ab".repeat(16) as Epoch };
      const ahead = { ...position, sequence: position.sequence + 1 };
      for (const resumeAfter of [other, ahead]) {
        const subscriber = alpha.subscribe(resumeAfter);
        expect(await subscriber.frame()).toEqual({ kind: "reset", position, reason: "wrongEpoch" });
        await subscriber.close();
      }
      expect(alpha.stats().resets.wrongEpoch).toBe(2);
    });

    it("resets a subscriber whose place the ring has passed, when it resumes and while it lags", async () => {
      const { alpha } = newAlpha();
      const before = await alpha.position();
      const lagging = alpha.subscribe();
      await lagging.frame();
      for (let at = 0; at < 140; at++) {
        await alpha.invalidate(Array.from({ length: 500 }, (_, n) => `$${at}-${n}`));
      }
      const position = await alpha.position();
      expect(await lagging.change()).toEqual({ kind: "reset", position, reason: "tooOld" });
      const late = alpha.subscribe(before);
      expect(await late.frame()).toEqual({ kind: "reset", position, reason: "tooOld" });
      await alpha.invalidate(["$after"]);
      for (const subscriber of [lagging, late]) {
        expect(await subscriber.change()).toMatchObject({ kind: "batch", from: position });
        await subscriber.close();
      }
    });

    it("cuts batches by bytes, and always lets one notice through", async () => {
      const { alpha } = newAlpha();
      const before = await alpha.position();
      const long = (at: number) => Array.from({ length: 500 }, (_, n) => `$${at}-${n}-`.padEnd(1020, "x"));
      for (let at = 0; at < 3; at++) await alpha.invalidate(long(at));
      const subscriber = alpha.subscribe(before);
      await subscriber.frame();
      const batch = (await subscriber.change()) as Batch;
      expect(batch.notices).toHaveLength(2);
      await subscriber.close();
    });

    it("sends Progress when there are no changes, after all earlier notices", async () => {
      const { alpha } = newAlpha();
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      expect(await subscriber.frame()).toEqual({ kind: "progress", position: await alpha.position() });
      const position = await alpha.invalidate(["$a"]);
      const frames = [];
      for (let frame = await subscriber.frame(); ; frame = await subscriber.frame()) {
        frames.push(frame);
        if (frame.kind === "progress" && frame.position.sequence === position.sequence) break;
      }
      expect(frames.filter(({ kind }) => kind === "batch")).toHaveLength(1);
      expect(frames.at(-2)?.kind).toBe("batch");
      await subscriber.close();
    });

    it("ends when its signal aborts, while it waits, and forgets the subscriber", async () => {
      const { alpha } = newAlpha();
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      expect(alpha.stats().subscribers).toBe(1);
      const waiting = subscriber.change().catch((error: Error) => error.message);
      await subscriber.close();
      expect(await waiting).toBe("the subscription ended");
      expect(alpha.stats().subscribers).toBe(0);
    });

    it("forgets a subscriber that never asked for another frame", async () => {
      const { store } = newAlpha();
      const abort = new AbortController();
      const frames = store.subscribe({ homeserver: ALPHA, resumeAfter: undefined, signal: abort.signal });
      await frames[Symbol.asyncIterator]().next();
      abort.abort();
      expect(store.stats().homeservers.get(ALPHA)?.subscribers).toBe(0);
    });

    it("resets subscribers when a new epoch begins, and nothing of the old one is served", async () => {
      const { alpha } = newAlpha();
      const asOf = await alpha.position();
      await alpha.put([messageEvent("$a")], asOf);
      const subscriber = alpha.subscribe();
      await subscriber.frame();
      const position = await alpha.purge(true);
      expect(position.epoch).not.toBe(asOf.epoch);
      expect(await subscriber.change()).toEqual({ kind: "reset", reason: "wrongEpoch", position });
      expect(await alpha.hits("$a")).toEqual([]);
      expect(await alpha.put([messageEvent("$a")], asOf)).toEqual(["wrongEpoch"]);
      await subscriber.close();
    });
  });
}

/** The changes that a subscriber receives until it has the change with this sequence number; fails on a gap. */
async function changesUntil(subscriber: TestSubscriber, sequence: number): Promise<Change[]> {
  const changes: Change[] = [];
  for (;;) {
    const frame = await subscriber.change();
    if (frame.kind !== "batch") throw new Error(`unexpected ${frame.kind}`);
    for (const [at, notice] of frame.notices.entries()) {
      if (notice.sequence !== frame.from.sequence + at + 1) throw new Error("a gap");
      changes.push(notice.change);
    }
    if (frame.to.sequence >= sequence) return changes;
  }
}
