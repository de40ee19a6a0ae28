import { describe, expect, it } from "vitest";
import { ActiveParties } from "../../../../src/rpc/admission/active-parties.js";
import { Capacity, type FullCapacity, type Holder } from "../../../../src/rpc/admission/capacity.js";
import { Place } from "../../../../src/rpc/admission/displaceable.js";
import { idleConnection } from "../../../support/server/idle-connection.js";

function places(max: number) {
  const reports: FullCapacity[] = [];
  const capacity = new Capacity(max, {
    activePeers: new ActiveParties(() => 0),
    onFull: (full) => reports.push(full),
    name: "places",
  });
  const ended: string[] = [];
  const take = (name: string, holder: Holder) => Place.take(capacity, holder, () => ended.push(name));
  return { capacity, ended, reports, take };
}

const of = (peer?: string): Holder => ({ connection: idleConnection(peer) });

describe("a place that is not in use", () => {
  it("goes to another call when all are taken: of the connection that holds most, the oldest first", () => {
    const { capacity, ended, reports, take } = places(5);
    const [small, large] = [of(), of()];
    take("small", small);
    take("old", large);
    take("young", large);
    for (const name of ["c", "d"]) take(name, of());
    expect(take("new", of())).toBeInstanceOf(Place);
    expect(ended).toEqual(["old"]);
    expect(capacity.used).toBe(5);
    expect(reports.map((full) => [full.capacity, full.max, full.largestPeer()])).toEqual([
      ["places", 5, undefined],
    ]);
  });

  it("goes to no other call while there is room, nor once it is in use or released", () => {
    const { capacity, ended, take } = places(2);
    const [first, second] = [take("first", of()), take("second", of())] as [Place, Place];
    first.busy();
    second.busy();
    expect(take("third", of())).toBe("all");
    second.give();
    second.give();
    second.idle();
    expect(capacity.used).toBe(1);
    expect(take("third", of())).toBeInstanceOf(Place);
    expect(ended).toEqual([]);
  });

  it("does not go to a call of the same connection", () => {
    const { ended, take } = places(4);
    const holder = of();
    take("first", holder);
    take("second", holder);
    expect(take("third", holder)).toBe("connection");
    expect(ended).toEqual([]);
  });

  it("makes room for a connection's share while such places are more than half", () => {
    const { ended, take } = places(8);
    for (let count = 0; count < 8; count++) take(`${count}`, of());
    const holder = of();
    const taken = [1, 2, 3].map(() => {
      const place = take("mine", holder);
      if (place instanceof Place) place.busy();
      return place;
    });
    expect(taken.map((place) => place instanceof Place)).toEqual([true, true, false]);
    expect(ended).toHaveLength(4);
  });

  it("goes to another peer after it was used, if its own peer holds more than half", () => {
    const { ended, reports, take } = places(4);
    const held = ["a", "b", "c", "d"].map((name) => take(name, of("10.0.0.1")) as Place);
    for (const place of held) place.busy();
    held[1]?.idle();
    held[0]?.idle();
    expect(take("same peer", of("10.0.0.1"))).toBe("all");
    expect(take("other peer", of("10.0.0.2"))).toBeInstanceOf(Place);
    expect(ended).toEqual(["b"]);
    expect(reports.at(-1)?.largestPeer()).toBe("10.0.0.1");
  });
});
