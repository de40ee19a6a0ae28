import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ActiveParties } from "../../../../src/rpc/admission/active-parties.js";
import { Capacity, type Holder } from "../../../../src/rpc/admission/capacity.js";
import { idleConnection } from "../../../support/server/idle-connection.js";

/** Takes one by one until there is no room; returns how many were taken. */
function takeAll(capacity: Capacity, holder: Holder): number {
  let taken = 0;
  while (capacity.take(holder) === undefined) taken += 1;
  return taken;
}

describe("a capacity", () => {
  it("never gives more than its maximum", () => {
    const capacity = new Capacity(3);
    expect(takeAll(capacity, { connection: undefined })).toBe(3);
    expect(capacity.take({ connection: undefined })).toBe("all");
    expect(capacity.take({ connection: idleConnection() })).toBe("all");
    capacity.give({ connection: undefined });
    expect(capacity.take({ connection: idleConnection() })).toBeUndefined();
  });

  it("leaves half of it free whatever one connection takes, and half of the rest for each further connection", () => {
    const capacity = new Capacity(256);
    const connections = Array.from({ length: 4 }, () => ({ connection: idleConnection() }));
    expect(connections.map((holder) => takeAll(capacity, holder))).toEqual([128, 64, 32, 16]);
    expect(capacity.take(connections[0]!)).toBe("connection");
    capacity.give(connections[0]!, 128);
    expect(takeAll(capacity, connections[3]!)).toBe(64);
  });

  it("has room for the floor of a connection, as long as there is room at all", () => {
    const capacity = new Capacity(10, { floor: 4 });
    const [first, second, third] = [1, 2, 3].map(() => ({ connection: idleConnection() }));
    expect(takeAll(capacity, first!)).toBe(5);
    expect(capacity.take(second!, 4)).toBeUndefined();
    expect(capacity.take(second!)).toBe("connection");
    expect(capacity.take(third!)).toBeUndefined();
    expect(capacity.take(third!)).toBe("all");
  });

  it("is one homeserver's to a quarter once several are active, over however many connections", () => {
    const capacity = new Capacity(16, { active: new ActiveParties(() => 0) });
    const holder = (homeserver: string) => ({ connection: idleConnection(), homeserver });
    expect(capacity.take(holder("beta"))).toBeUndefined();
    for (let count = 0; count < 4; count++) expect(capacity.take(holder("alpha"))).toBeUndefined();
    expect(capacity.take(holder("alpha"))).toBe("homeserver");
    expect(capacity.take(holder("beta"))).toBeUndefined();
  });

  it("is one peer's to as much as it leaves free once several are active, over however many connections", () => {
    const capacity = new Capacity(16, { activePeers: new ActiveParties(() => 0) });
    const of = (peer?: string) => ({ connection: idleConnection(peer) });
    for (let count = 0; count < 12; count++) expect(capacity.take(of("10.0.0.1"))).toBeUndefined();
    expect(capacity.take(of("10.0.0.2"))).toBeUndefined();
    expect(capacity.take(of("10.0.0.1"))).toBe("peer");
    expect(capacity.take(of("10.0.0.2"))).toBeUndefined();
    // Unix sockets have no address.
    expect([of(), of()].map((holder) => capacity.take(holder))).toEqual([undefined, undefined]);
    expect(capacity.take(of())).toBe("all");
  });

  it("is whole again when everything was released, in any order", () => {
    const step = fc.record({
      party: fc.nat(3),
      homeserver: fc.constantFrom(undefined, "alpha", "beta"),
      amount: fc.nat(9),
    });
    fc.assert(
      fc.property(fc.array(step), fc.infiniteStream(fc.nat()), (steps, order) => {
        const capacity = new Capacity(20, { floor: 3, active: new ActiveParties(() => 0) });
        const connections = Array.from({ length: 4 }, idleConnection);
        const taken: { holder: Holder; amount: number }[] = [];
        for (const { party, homeserver, amount } of steps) {
          const holder = { connection: connections[party], homeserver };
          if (capacity.take(holder, amount) === undefined) taken.push({ holder, amount });
          expect(capacity.used).toBeLessThanOrEqual(20);
        }
        while (taken.length > 0) {
          const [{ holder, amount } = { holder: { connection: undefined }, amount: 0 }] = taken.splice(
            order.next().value % taken.length,
            1,
          );
          capacity.give(holder, amount);
        }
        expect(capacity.used).toBe(0);
        expect(takeAll(capacity, { connection: connections[0] })).toBe(10);
      }),
    );
  });
});
