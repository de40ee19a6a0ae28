import { beforeEach, describe, expect, it } from "vitest";
import { type Notice, RedactionView } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import {
  at,
  BYTES_MAX,
  EPOCH_A,
  EPOCH_B,
  keptEvent,
  NearUnderTest,
  SILENCE_MS,
} from "../../support/client/near-under-test.js";

describe("NearCache", () => {
  let test: NearUnderTest;

  beforeEach(() => {
    test = new NearUnderTest();
  });

  it("serves what a reply had, as one object, after the stream has applied the reply's position", () => {
    test.ready(5);
    const kept = keptEvent("$a");
    test.reply(at(6), kept);
    expect(test.served("$a")).toBeUndefined();
    test.progress(6);
    expect(test.served("$a")).toBe(kept);
    expect(test.served("$a", RedactionView.ORIGINAL)).toBeUndefined();
  });

  it("serves nothing before the stream has begun", () => {
    test.reply(at(5), keptEvent("$a"));
    test.ready(5);
    test.reply(at(5));
    expect(test.served("$a")).toBeUndefined();
  });

  it("serves nothing while the newest proof is two seconds old, whatever frames come", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.now += 1999;
    test.progress(5);
    expect(test.served("$a")).toBeDefined();
    test.now += 1;
    test.progress(5);
    expect(test.served("$a")).toBeUndefined();
    test.reply(at(5));
    expect(test.served("$a")).toBeDefined();
  });

  it("counts the age of a proof from when its request was sent", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    const sending = test.near.sending();
    test.now += 1999;
    test.near.received(sending, at(5), [], RedactionView.REDACTED);
    test.now += 1;
    expect(test.served("$a")).toBeUndefined();
  });

  it("does not keep a reply that a notice has overtaken", () => {
    test.ready(5);
    const sending = test.near.sending();
    test.invalidated(6, "$a");
    test.near.received(sending, at(5), [keptEvent("$a"), keptEvent("$b")], RedactionView.REDACTED);
    test.progress(6);
    test.reply(at(6));
    expect(test.served("$a")).toBeUndefined();
    expect(test.served("$b")).toBeDefined();
  });

  it("keeps a reply from after a notice that names its event", () => {
    test.ready(5);
    test.invalidated(6, "$a");
    test.reply(at(6), keptEvent("$a"));
    expect(test.served("$a")).toBeDefined();
  });

  it("does not keep a reply that the purge of its room has overtaken", () => {
    test.ready(5);
    const sending = test.near.sending();
    test.purged(6, "!r");
    test.near.received(sending, at(5), [keptEvent("$a")], RedactionView.REDACTED);
    test.reply(at(6));
    expect(test.served("$a")).toBeUndefined();
  });

  it("does not keep a reply that is older than what it remembers of notices", () => {
    test.ready(5);
    const sending = test.near.sending();
    for (let n = 6; n < 20_006; n += 1) test.invalidated(n, `$${n}`);
    test.near.received(sending, at(5), [keptEvent("$6")], RedactionView.REDACTED);
    test.reply(at(20_005));
    expect(test.served("$6")).toBeUndefined();
  });

  it.each([
    ["a redaction", { $case: "eventRedacted", value: { roomId: "", eventId: "$a", redactedBy: "$r" } }],
    ["a rejection", { $case: "eventRejected", value: { roomId: "", eventId: "$a", rejected: true } }],
    ["an invalidation", { $case: "eventsInvalidated", value: { roomId: "", eventIds: ["$a"] } }],
    ["the purge of its room", { $case: "roomPurged", value: { roomId: "!r" } }],
    ["the purge of the homeserver", { $case: "homeserverPurged", value: {} }],
    ["a change of an unknown kind", undefined],
  ] satisfies [string, Notice["change"]][])("drops an event with %s", (_, change) => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.notice(6, change);
    expect(test.served("$a")).toBeUndefined();
    expect(test.detached.at(-1) ?? ["$a"]).toEqual(["$a"]);
  });

  it("keeps what a notice does not name", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"), keptEvent("$b", "!other"));
    test.invalidated(6, "$c");
    test.purged(7, "!r");
    expect(test.served("$b")).toBeDefined();
  });

  it("drops everything with a Reset, and does not keep a reply that was requested before it", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    const sending = test.near.sending();
    test.near.follow({ kind: "reset", position: at(5), reason: 2, silenceMs: SILENCE_MS });
    expect(test.served("$a")).toBeUndefined();
    test.near.received(sending, at(5), [keptEvent("$a")], RedactionView.REDACTED);
    test.reply(at(5));
    expect(test.near.isUsable()).toBe(true);
    expect(test.served("$a")).toBeUndefined();
  });

  it("keeps everything when the stream resumed", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.ready(5, { resumed: true });
    expect(test.served("$a")).toBeDefined();
  });

  it("drops everything with a new epoch, and neither keeps nor counts replies of another one", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.registered = EPOCH_B;
    test.ready(1, { epoch: EPOCH_B });
    test.reply(at(1, EPOCH_A), keptEvent("$a"));
    expect(test.near.isUsable()).toBe(false);
    test.reply(at(1, EPOCH_B));
    expect(test.near.isUsable()).toBe(true);
    expect(test.served("$a")).toBeUndefined();
  });

  it("serves nothing in an epoch that is not registered", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.registered = EPOCH_B;
    expect(test.served("$a")).toBeUndefined();
  });

  it("serves nothing while the gate is closed, and drops nothing", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.isOpen = false;
    expect(test.served("$a")).toBeUndefined();
    test.isOpen = true;
    expect(test.served("$a")).toBeDefined();
  });

  it("takes no proof from a request that was sent while the gate was closed", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.now += 2000;
    test.isOpen = false;
    const sending = test.near.sending();
    test.isOpen = true;
    test.near.received(sending, at(5), [], RedactionView.REDACTED);
    expect(test.served("$a")).toBeUndefined();
  });

  it("serves nothing when no frame has come for the silence limit, whatever positions are answered", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    test.now += SILENCE_MS;
    test.reply(at(5));
    expect(test.served("$a")).toBeUndefined();
    test.ready(5, { resumed: true });
    expect(test.served("$a")).toBeDefined();
  });

  it("drops what this process has announced, before the notice comes", () => {
    test.ready(5);
    test.reply(at(5), keptEvent("$a"));
    const sending = test.near.sending();
    test.near.announced({ $case: "eventsInvalidated", value: { roomId: "!r", eventIds: ["$a"] } }, at(6));
    test.near.received(sending, at(5), [keptEvent("$a")], RedactionView.REDACTED);
    expect(test.served("$a")).toBeUndefined();
  });

  it("holds no more bytes than it may, and drops the least recently used", () => {
    test.ready(0);
    for (let n = 0; n < 20; n += 1) {
      test.reply(at(0), keptEvent(`$${n}`, "!r", 100_000));
      test.now += 500;
      test.progress(0);
      test.reply(at(0));
      expect(test.served("$0")).toBeDefined();
    }
    expect(test.near.bytes).toBeLessThanOrEqual(BYTES_MAX);
    expect(test.near.count).toBeGreaterThan(5);
    expect(test.served("$1")).toBeUndefined();
    expect(test.served("$19")).toBeDefined();
  });

  it("frees the entries of a purged room in small slices", async () => {
    test.ready(5);
    for (let n = 0; n < 1200; n += 1) test.reply(at(5), keptEvent(`$${n}`, "!r", 1));
    const before = test.near.count;
    test.purged(6, "!r");
    expect(test.near.count).toBe(before - 500);
    for (let n = 0; n < 1200; n += 1) expect(test.near.get(`$${n}`, RedactionView.REDACTED)).toBeUndefined();
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(test.near.count).toBe(0);
    expect(test.near.bytes).toBe(0);
  });

  it("knows which positions it includes, so that a client reads its own writes", () => {
    test.ready(5);
    expect(test.near.includes(at(5))).toBe(true);
    expect(test.near.includes(at(6))).toBe(false);
    expect(test.near.includes(at(5, EPOCH_B))).toBe(false);
  });
});
