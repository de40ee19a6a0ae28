import { describe, expect, it } from "vitest";
import { encodedBody, encodedRoomVersion } from "../../src/core/memory/encoded-event.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  eventId,
  type MakeStore,
  messageEvent,
  OTHER_ROOM,
  ROOM,
  roomId,
  TTL_MS,
} from "../support/store/store-harness.js";
import { useStores } from "../support/store/use-store.js";

export function describeReads(makeStore: MakeStore): void {
  describe("reads", () => {
    const newStore = useStores(makeStore);
    const newAlpha = (...options: Parameters<MakeStore>) => {
      const harness = newStore(...options);
      return { ...harness, alpha: asHomeserver(harness.store, ALPHA) };
    };

    it("returns the bytes that were put, even if the caller changes its buffer", async () => {
      const { alpha } = newAlpha();
      const body = Buffer.from('{"content":{"body":"\\u00e9\u0000é"}}');
      const event = messageEvent("$a", { body, roomVersion: "9" });
      await alpha.put([event]);
      const wanted = Buffer.from(body);
      body.fill(0);
      const [hit] = (await alpha.get(["$a"])).events;
      expect(encodedBody(hit!.encoded)).toEqual(wanted);
      expect(encodedRoomVersion(hit!.encoded)).toBe("9");
    });

    it("answers once per mention, in request order", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a"), messageEvent("$b")]);
      const { events } = await alpha.get(["$b", "$x", "$a", "$b", "$x"]);
      expect(events.map((event) => event?.eventId)).toEqual(["$b", undefined, "$a", "$b", undefined]);
    });

    it("answers a request without IDs with the position alone", async () => {
      const { alpha } = newAlpha();
      const before = await alpha.get([]);
      expect(before.events).toEqual([]);
      await alpha.invalidate(["$a"]);
      expect((await alpha.get([])).position).toEqual({
        ...before.position!,
        sequence: before.position!.sequence + 1,
      });
    });

    it.each(["__proto__", "constructor", "toString", "", "$\u0000", "$ünï😀", `$${"x".repeat(1019)}`])(
      "takes an ID as a value: %j",
      async (id) => {
        const { alpha } = newAlpha();
        expect(await alpha.hits(id)).toEqual([]);
        await alpha.put([messageEvent(id, { roomId: roomId(id) })]);
        expect(await alpha.hits(id)).toEqual([id]);
        await alpha.purgeRoom(roomId(id));
        expect(await alpha.hits(id)).toEqual([]);
      },
    );

    it("serves the redacted text under the redacted view, and both under the original one", async () => {
      const { alpha } = newAlpha();
      const redactedBody = Buffer.from('{"content":{}}');
      await alpha.put([messageEvent("$a", { redaction: { redactedBy: eventId("$r"), redactedBody } })]);
      for (const view of ["redacted", "original"] as const) {
        const [hit] = (await alpha.get(["$a"], { view })).events;
        expect(hit?.state.redaction?.redactedBy).toBe("$r");
        expect(Buffer.from(hit!.state.redaction!.redactedBody!)).toEqual(redactedBody);
      }
    });

    it("makes the redacted text itself when a put brings none", async () => {
      const { alpha } = newAlpha();
      await alpha.put([
        messageEvent("$a", {
          text: "secret",
          redaction: { redactedBy: eventId("$r"), redactedBody: undefined },
        }),
      ]);
      const [hit] = (await alpha.get(["$a"])).events;
      const redacted = Buffer.from(hit!.state.redaction!.redactedBody!).toString();
      expect(JSON.parse(redacted)).toMatchObject({ type: "m.room.message", content: {} });
      expect(redacted).not.toContain("secret");
    });

    it.each([
      ["an unknown room version", { roomVersion: "org.example.99" }],
      ["a body that is not JSON", { body: Buffer.from("{not json") }],
    ])("reports a redacted event missing when its redacted text cannot be made: %s", async (_, changes) => {
      const { alpha } = newAlpha();
      const redaction = { redactedBy: eventId("$r"), redactedBody: undefined };
      await alpha.put([messageEvent("$a", { ...changes, redaction })]);
      expect((await alpha.get(["$a"])).events).toEqual([undefined]);
      expect(alpha.stats().misses.unredactable).toBe(1);
      expect((await alpha.get(["$a"], { view: "original" })).events[0]?.state.redaction).toEqual(redaction);
    });

    it("answers all missing when it is behind the position that the reader demands", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const position = await alpha.position();
      expect((await alpha.get(["$a"], { minPosition: position })).events[0]).toBeDefined();
      const ahead = { ...position, sequence: position.sequence + 1 };
      expect((await alpha.get(["$a"], { minPosition: ahead })).events).toEqual([undefined]);
      const other = { ...position, epoch: "00".repeat(16) as typeof position.epoch };
      expect((await alpha.get(["$a"], { minPosition: other })).events).toEqual([undefined]);
      expect(alpha.stats().misses.behind).toBe(2);
    });

    it("serves an entry until its time to live is over, which no read and no Set… prolongs", async () => {
      const { alpha, advance, ttlPrecisionMs } = newAlpha({ sweepIntervalMs: 1_000_000 });
      await alpha.put([messageEvent("$a")]);
      await advance(TTL_MS - ttlPrecisionMs);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      expect((await alpha.reject("$a", true, { asOf: await alpha.position() })).outcome).toBe("applied");
      await advance(ttlPrecisionMs);
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("keeps one entry an event ID: a put under another room replaces it", async () => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      await alpha.put([messageEvent("$a", { roomId: OTHER_ROOM })]);
      await alpha.purgeRoom(ROOM);
      expect(await alpha.hits("$a")).toEqual(["$a"]);
      await alpha.purgeRoom(OTHER_ROOM);
      expect(await alpha.hits("$a")).toEqual([]);
    });

    it("keeps different texts as variants and serves each to the homeservers that put it", async () => {
      const { store, alpha } = newAlpha();
      const beta = asHomeserver(store, BETA);
      const variants = [
        messageEvent("$a"),
        messageEvent("$a", { text: "other" }),
        messageEvent("$a", { roomId: OTHER_ROOM }),
        messageEvent("$a", { roomVersion: "9" }),
      ];
      await alpha.put([variants[0]!]);
      for (const variant of variants) {
        await beta.put([variant]);
        const [hit] = (await beta.get(["$a"])).events;
        expect(encodedBody(hit!.encoded)).toEqual(variant.body);
        expect(encodedRoomVersion(hit!.encoded)).toBe(variant.roomVersion);
      }
      expect(encodedBody((await alpha.get(["$a"])).events[0]!.encoded)).toEqual(variants[0]!.body);
    });
  });
}
