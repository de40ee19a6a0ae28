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
});
