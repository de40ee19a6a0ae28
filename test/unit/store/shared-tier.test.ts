import { describe, expect, it } from "vitest";
import { encodedBody } from "../../../src/core/memory/encoded-event.js";
import type { HomeserverLog, Log, LogCopy } from "../../../src/log/port.js";
import { WRITE_BACK_INTERVAL_MS } from "../../../src/store/shared-tier.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  eventId,
  makeMemoryStore,
  messageEvent,
  newEpoch,
  ROOM,
  TTL_MS,
} from "../../support/store/store-harness.js";
import { TierUnderTest } from "../../support/store/tier-under-test.js";

/** One log for several stores: each change is applied by all of them before it is confirmed. */
function sharedLog(): Log {
  const epoch = newEpoch();
  const copies = new Set<LogCopy>();
  return {
    follow(copy): HomeserverLog {
      const [other] = copies;
      copy.restart(other?.position ?? { epoch, sequence: 0 }, "started");
      copies.add(copy);
      return {
        isCurrent: () => true,
        ready: () => undefined,
        append: async (change, apply) => {
          apply();
          for (const one of copies) if (one !== copy) one.apply(change);
          return copy.position;
        },
        startEpoch: async () => {
          const position = { epoch: newEpoch(), sequence: 0 };
          for (const one of copies) one.restart(position, "asked");
          return position;
        },
        catchUp: () => undefined,
        leave: () => copies.delete(copy),
      };
    },
    status: () => ({ isUp: true, errors: {}, memberCount: 0 }),
    members: { list: async () => [], positions: async () => [] },
    close: async () => {},
  };
}

function twoStores() {
  const tier = new TierUnderTest();
  const invalidationLog = sharedLog();
  const make = () => makeMemoryStore({ invalidationLog, tier, metadataTtlMs: TTL_MS });
  const [first, second] = [make(), make()];
  return {
    tier,
    first,
    second,
    alpha: asHomeserver(first.store, ALPHA),
    other: asHomeserver(second.store, ALPHA),
  };
}

describe("stores that share a tier", () => {
  it("serve what another has stored, and ask the tier for it once", async () => {
    const { tier, alpha, other } = twoStores();
    await other.position();
    const event = messageEvent("$a", { internalMetadata: Buffer.from("own") });
    await alpha.put([event]);
    const [hit] = (await other.get(["$a"])).events;
    expect(encodedBody(hit!.encoded)).toEqual(event.body);
    expect(hit!.internalMetadata).toBe("own");
    expect(await other.hits("$a")).toEqual(["$a"]);
    expect(tier.reads).toEqual([["$a"]]);
    expect(other.stats()).toMatchObject({ hits: 2, misses: { absent: 0 } });
  });

  it("ask for nothing that they have themselves", async () => {
    const { tier, alpha } = twoStores();
    await alpha.put([messageEvent("$a")]);
    await alpha.hits("$a");
    expect(tier.reads).toEqual([]);
    await alpha.hits("$a", "$b", "$b");
    expect(tier.reads).toEqual([["$b"]]);
  });

  it("answer what they have themselves before the call returns, and only the rest when the tier has answered", async () => {
    const { tier, first, alpha } = twoStores();
    await alpha.put([messageEvent("$a")]);
    const release = tier.hold();
    const hits: (number | undefined)[] = [];
    const read = (...ids: string[]) =>
      first.store.getEvents(
        { homeserver: ALPHA, eventIds: ids.map(eventId), view: "redacted", minPosition: undefined },
        ({ events }) => {
          hits.push(events.filter((event) => event !== undefined).length);
        },
      );
    const waiting = read("$a", "$b");
    expect(read("$a", "$a")).toBeUndefined();
    expect(hits).toEqual([2]);
    release();
    await waiting;
    expect(hits).toEqual([2, 1]);
  });

  it("count a dead entry that the tier does not replace by its own reason", async () => {
    const { tier, first, alpha } = twoStores();
    await alpha.put([messageEvent("$a")]);
    tier.entries.clear();
    await first.advance(TTL_MS);
    expect(await alpha.hits("$a")).toEqual([]);
    expect(alpha.stats()).toMatchObject({ misses: { expired: 1, absent: 0 } });
  });

  it("judge an entry of the tier by the fence, as of its own position", async () => {
    const { tier, alpha, other } = twoStores();
    await other.position();
    await alpha.put([messageEvent("$a"), messageEvent("$b")]);
    const old = [...tier.entries];
    await alpha.invalidate(["$a"]);
    // An old copy of the tier comes back.
    for (const [key, entry] of old) tier.entries.set(key, entry);
    expect(await other.hits("$a", "$b")).toEqual(["$b"]);
    await alpha.purgeRoom(ROOM);
    expect(await other.hits("$a", "$b")).toEqual([]);
  });

  it("refuse what was changed while the tier was asked", async () => {
    const { tier, alpha, other } = twoStores();
    await other.position();
    await alpha.put([messageEvent("$a")]);
    const release = tier.hold();
    const reading = other.get(["$a"]);
    await new Promise(setImmediate);
    await alpha.invalidate(["$a"]);
    release();
    expect((await reading).events).toEqual([undefined]);
  });

  it("refuse entries of another epoch, and expired entries", async () => {
    const { tier, alpha, other, second } = twoStores();
    await other.position();
    await alpha.put([messageEvent("$a")]);
    const [key, entry] = [...tier.entries][0]!;
    await second.advance(TTL_MS);
    expect(await other.hits("$a")).toEqual([]);
    tier.entries.set(key, { ...entry, expiresAtMs: 1e9, asOf: { epoch: newEpoch(), sequence: 0 } });
    expect(await other.hits("$a")).toEqual([]);
  });

  it("keep the end of an entry's life, which neither the tier nor a write-back prolongs", async () => {
    const { alpha, other, second } = twoStores();
    await other.position();
    await alpha.put([messageEvent("$a")]);
    await second.advance(TTL_MS - 1);
    expect(await other.hits("$a")).toEqual(["$a"]);
    await second.advance(1);
    expect(await other.hits("$a")).toEqual([]);
  });

  it("never serve one homeserver what another has put", async () => {
    const { tier, second, alpha } = twoStores();
    const beta = asHomeserver(second.store, BETA);
    await beta.position();
    await alpha.put([messageEvent("$a")]);
    expect(await beta.hits("$a")).toEqual([]);
    expect(tier.reads).toEqual([["$a"]]);
  });

  it("write an entry in use again, as of now, at most once in ten minutes", async () => {
    const tier = new TierUnderTest();
    const { store, advance } = makeMemoryStore({ tier, metadataTtlMs: 10 * WRITE_BACK_INTERVAL_MS });
    const alpha = asHomeserver(store, ALPHA);
    await alpha.put([messageEvent("$a")]);
    const [put] = [...tier.entries.values()];
    await alpha.invalidate(["$other"]);
    await advance(WRITE_BACK_INTERVAL_MS - 1);
    await alpha.hits("$a");
    expect(tier.writes).toBe(1);
    await advance(1);
    await alpha.hits("$a");
    await alpha.hits("$a");
    expect(tier.writes).toBe(2);
    const [written] = [...tier.entries.values()];
    expect(written?.asOf).toEqual({ ...put?.asOf, sequence: 1 });
    expect(written?.expiresAtMs).toBe(put?.expiresAtMs);
    expect(Buffer.from(written!.event.body)).toEqual(Buffer.from(put!.event.body));
    await store.close();
  });

  it("write the value of a Set… as of its own change, and drop the entry that it did not write", async () => {
    const { tier, alpha, other } = twoStores();
    await other.position();
    const asOf = await alpha.position();
    await alpha.put([messageEvent("$a"), messageEvent("$b")]);
    expect(await alpha.redact("$a", "$r", { asOf })).toMatchObject({ outcome: "applied" });
    expect(tier.entries.get(`${ALPHA} $a`)).toMatchObject({
      asOf: { sequence: 1 },
      event: { redaction: { redactedBy: "$r" } },
    });
    const [seen] = (await other.get(["$a"])).events;
    expect(seen?.state.redaction?.redactedBy).toBe("$r");
    expect(await alpha.redact("$b", "$r")).toMatchObject({ outcome: "dropped" });
    expect(tier.entries.has(`${ALPHA} $b`)).toBe(false);
    await alpha.invalidate(["$a"]);
    expect(tier.entries.size).toBe(0);
  });

  it("go on without a tier that is down", async () => {
    const { tier, alpha } = twoStores();
    tier.isDown = true;
    expect(await alpha.hits("$a")).toEqual([]);
    await alpha.put([messageEvent("$a")]);
    expect(await alpha.hits("$a")).toEqual(["$a"]);
  });
});
