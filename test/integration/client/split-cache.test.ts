import { describe, expect, it } from "vitest";
import { event, useClients } from "../../support/client/use-clients.js";
import { eventually } from "../../support/eventually.js";

const { start, connect } = useClients();

describe("SplitCache", () => {
  it("reads through: what is missing is fetched once, then hit", async () => {
    const cache = await connect((await start()).address);
    const fetched: (readonly string[])[] = [];
    const fetch = (missing: readonly string[]) => {
      fetched.push(missing);
      return missing.map((id) => event(id));
    };
    const first = await cache.getOrFetch(["$a", "$b", "$a"], fetch);
    await cache.settled();
    const second = await cache.getOrFetch(["$a", "$b"], fetch);
    expect([...first.keys()]).toEqual(["$a", "$b"]);
    expect(second).toEqual(first);
    expect(fetched).toEqual([["$a", "$b"]]);
    expect(cache.counters.fills).toMatchObject({ stored: 2 });
  });

  it("serves one object an event from the near cache, and drops it with the notice of another client", async () => {
    const { address } = await start();
    const cache = await connect(address, { nearCache: { maxBytes: 2 ** 20 } });
    await cache.put([event("$a")], await cache.position());
    await eventually(() => expect(cache.counters.isNearUsable).toBe(true));
    const [read] = (await cache.getMany(["$a"])).events;
    const requests = cache.counters.reads.requests;
    expect((await cache.getMany(["$a", "$a"])).events).toEqual([read, read]);
    expect(cache.getKept(["$a"])?.[0]).toBe(read);
    expect(cache.counters.reads.requests).toBe(requests);
    const other = await connect(address);
    await other.invalidate(["$a"]);
    await eventually(() => expect(cache.getKept(["$a"])).toBeUndefined());
    expect((await cache.getMany(["$a"])).missing).toEqual(["$a"]);
  });

  it("asks again for what did not fit into a reply, and answers each mention in order", async () => {
    const cache = await connect((await start()).address, { timeoutMs: 10_000 });
    const ids = Array.from({ length: 20 }, (_, n) => `$big${n}`);
    await cache.put(
      ids.map((id) => event(id, "x".repeat(250_000))),
      await cache.position(),
    );
    const { events, missing } = await cache.getMany(["$none", ...ids, "$big3"]);
    expect(events.map(({ eventId }) => eventId)).toEqual([...ids, "$big3"]);
    expect(missing).toEqual(["$none"]);
    expect(cache.counters.reads.truncated).toBeGreaterThan(0);
  });

  it("joins the lookups of one turn, and an event that several ask for", async () => {
    const cache = await connect((await start()).address);
    const found = await Promise.all([
      cache.getMany(["$a"]),
      cache.getMany(["$a", "$b"]),
      cache.getMany(["$c"]),
    ]);
    expect(found.map(({ missing }) => missing)).toEqual([["$a"], ["$a", "$b"], ["$c"]]);
    expect(cache.counters.reads).toMatchObject({ requests: 1, joined: 1 });
  });

  it("does not fill what changed while the database was read", async () => {
    const cache = await connect((await start()).address);
    await cache.getOrFetch(["$a"], async (missing) => {
      const read = missing.map((id) => event(id, "old"));
      await cache.invalidate(["$a"]);
      return read;
    });
    await cache.settled();
    expect(cache.counters.fills).toMatchObject({ stored: 0, refused: 1 });
    expect((await cache.getMany(["$a"])).missing).toEqual(["$a"]);
  });

  it("shows a redacted event redacted, wherever it came from", async () => {
    const cache = await connect((await start()).address);
    const redacted = { ...event("$a", "secret"), redaction: { redactedBy: "$r", redactedBody: "{}" } };
    const fetched = (await cache.getOrFetch(["$a"], () => [redacted])).get("$a");
    await cache.settled();
    const [hit] = (await cache.getMany(["$a"])).events;
    expect(String(fetched?.body)).toBe("{}");
    expect(fetched).toEqual(hit);
    const [original] = (await cache.getMany(["$a"], { view: "original" })).events;
    expect(String(original?.body)).toContain("secret");
    const { redaction: _, ...other } = redacted;
    const unmade = { ...other, eventId: "$b", redaction: { redactedBy: "$r" } };
    await expect(cache.getOrFetch(["$b"], () => [unmade])).rejects.toThrow("redaction.redactedBody");
  });

  it("refuses an ID before it fails the request of other callers", async () => {
    const cache = await connect((await start()).address);
    const [wrong, right] = await Promise.allSettled([cache.getMany(["$a", ""]), cache.getMany(["$b"])]);
    expect(wrong).toMatchObject({ reason: { message: "ids[1]: must have 1 to 1020 bytes, has 0" } });
    expect(right.status).toBe("fulfilled");
    await expect(cache.getMany(["\ud800"])).rejects.toThrow("lone surrogate");
    await expect(cache.getMany(["$a"], { timeoutMs: 0 })).rejects.toThrow("timeoutMs");
    await expect(connect("10.0.0.1:1", { token: "secret" })).rejects.toThrow("in cleartext");
    await expect(connect("127.0.0.1:1", { nearCache: { maxBytes: 5 } })).rejects.toThrow(
      "nearCache.maxBytes",
    );
  });
});
