import { describe, expect, it } from "vitest";
import {
  ALPHA,
  asHomeserver,
  BETA,
  type MakeStore,
  messageEvent,
  ROOM,
} from "../support/store/store-harness.js";
import { useStores } from "../support/store/use-store.js";

/** The three walks of the proposal that splitcache answers (matrix-org/synapse #13916). */
export function describeWalks(makeStore: MakeStore): void {
  describe("the three walks", () => {
    const newStore = useStores(makeStore);

    it("walk 1, one homeserver: an event that is not cached is a miss, and the fill makes it a hit", async () => {
      const alpha = asHomeserver(newStore().store, ALPHA);
      const read = await alpha.get(["$a"]);
      expect(read.events).toEqual([undefined]);
      expect(await alpha.put([messageEvent("$a")], read.position)).toEqual(["stored"]);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
    });

    it("walk 1, two homeservers: an event that one of them put is a miss for the other", async () => {
      const { store } = newStore();
      const [alpha, beta] = [asHomeserver(store, ALPHA), asHomeserver(store, BETA)];
      await alpha.put([messageEvent("$a")]);
      expect(await beta.hits("$a")).toEqual([]);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
    });

    it("walk 2, one homeserver: an event that is cached is a hit with its metadata", async () => {
      const alpha = asHomeserver(newStore().store, ALPHA);
      await alpha.put([
        messageEvent("$a", {
          rejected: true,
          rejectedReason: "auth",
          internalMetadata: Buffer.from([0, 255, 7]),
        }),
      ]);
      const [event] = (await alpha.get(["$a"])).events;
      expect(event?.state).toEqual({ rejected: true, rejectedReason: "auth", redaction: undefined });
      expect(Buffer.from(event!.internalMetadata, "latin1")).toEqual(Buffer.from([0, 255, 7]));
    });

    it("walk 2, two homeservers: the body is stored once, the metadata is each one's own", async () => {
      const { store } = newStore();
      const [alpha, beta] = [asHomeserver(store, ALPHA), asHomeserver(store, BETA)];
      await alpha.put([messageEvent("$a")]);
      await beta.put([messageEvent("$a", { rejected: true })]);
      expect(store.stats().events.entries).toBe(1);
      expect((await alpha.get(["$a"])).events[0]?.state.rejected).toBe(false);
      expect((await beta.get(["$a"])).events[0]?.state.rejected).toBe(true);
    });

    it("walk 3, one homeserver: after its room was purged an event is a miss while its body is still there", async () => {
      const { store } = newStore({ sweepIntervalMs: 1_000_000 });
      const alpha = asHomeserver(store, ALPHA);
      await alpha.put([messageEvent("$a"), messageEvent("$b")]);
      await alpha.purgeRoom(ROOM);
      expect(store.stats().events.entries).toBe(2);
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("walk 3, two homeservers: a purge of one leaves the other's view and the shared body alone", async () => {
      const { store } = newStore();
      const [alpha, beta] = [asHomeserver(store, ALPHA), asHomeserver(store, BETA)];
      await alpha.put([messageEvent("$a")]);
      await beta.put([messageEvent("$a")]);
      await alpha.purgeRoom(ROOM);
      expect(await alpha.hits("$a")).toEqual([]);
      expect(await beta.hits("$a")).toEqual(["$a"]);
      expect(store.stats().events.entries).toBe(1);
    });
  });
}
