import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LeaseToken } from "../../../src/core/types.js";
import { WriterLeases } from "../../../src/core/writer-leases.js";
import { token, writer } from "../../support/store-harness.js";

const LEASE = 5000;
const [W, OTHER] = [writer("w"), writer("other")];
const NONE = token("");

function newLeases() {
  const events: string[] = [];
  let count = 0;
  const leases = new WriterLeases(LEASE, () => token(`t${++count}`), {
    lapsed: (name, last) => events.push(`lapsed ${name} ${last}`),
    replaced: (name) => events.push(`replaced ${name}`),
  });
  /** A renewal as the rules order it: whoever does not continue the live lease ends it first. */
  const renew = (held: LeaseToken, nowMs: number, name = W): LeaseToken => {
    leases.settle(nowMs);
    leases.declare([name]);
    if (!leases.continues(name, held)) leases.end(name);
    return leases.renew(name, held, nowMs);
  };
  return { leases, events, renew };
}

type Standing = "declared" | "held" | "lapsed" | "released";
type Kind = "none" | "foreign" | "last" | "earlier" | "of the lease before";

/** A writer in this standing at time 1000, and a token of each kind. */
function inStanding(standing: Standing) {
  const made = newLeases();
  const { leases, renew } = made;
  const tokens: Record<Kind, LeaseToken> = {
    none: NONE,
    foreign: token("foreign"),
    last: token("never issued: last"),
    earlier: token("never issued: earlier"),
    "of the lease before": token("never issued: before"),
  };
  leases.declare([W]);
  if (standing !== "declared") {
    tokens["of the lease before"] = renew(NONE, 0);
    tokens.earlier = renew(NONE, 500);
    tokens.last = renew(tokens.earlier, 1000);
  }
  if (standing === "lapsed") leases.end(W);
  if (standing === "released") leases.release(W, tokens.last);
  made.events.length = 0;
  return { ...made, tokens };
}

describe("WriterLeases", () => {
  it("suspends nobody while no writer is named", () => {
    const { leases } = newLeases();
    expect([leases.count, leases.suspended, leases.settle(1e12), leases.declare([])]).toEqual([
      0,
      false,
      false,
      false,
    ]);
  });

  it("is suspended from the declaration of a new name until it holds a lease", () => {
    const { leases, renew } = newLeases();
    expect(leases.declare([W, W])).toBe(true);
    expect([leases.count, leases.suspended]).toEqual([1, true]);
    renew(NONE, 0);
    expect(leases.suspended).toBe(false);
    expect(leases.declare([W])).toBe(false);
    expect(leases.declare([W, OTHER])).toBe(true);
    expect(leases.count).toBe(2);
  });

  it("refuses the hundred and first writer, and adds none of its call", () => {
    const { leases } = newLeases();
    const names = Array.from({ length: 101 }, (_, n) => writer(`w${n}`));
    expect(() => leases.declare(names)).toThrow(
      expect.objectContaining({
        kind: "invalidArgument",
        violations: [{ field: "writers", description: expect.stringContaining("100") }],
      }),
    );
    expect([leases.count, leases.suspended]).toEqual([0, false]);
    leases.declare(names.slice(0, 100));
    leases.declare(names.slice(0, 100));
    expect(leases.count).toBe(100);
    expect(() => leases.declare(names)).toThrow();
  });

  const continued: Record<Standing, readonly Kind[]> = {
    declared: [],
    held: ["last", "earlier"],
    lapsed: [],
    released: [],
  };
  const released: Record<Standing, readonly Kind[]> = {
    declared: ["none"],
    held: ["last", "earlier"],
    lapsed: ["last", "earlier"],
    released: ["last", "earlier", "none", "foreign", "of the lease before"],
  };
  const cases = (["declared", "held", "lapsed", "released"] as const).flatMap((standing) =>
    (["none", "foreign", "last", "earlier", "of the lease before"] as const).map((kind): [Standing, Kind] => [
      standing,
      kind,
    ]),
  );

  it.each(cases)("judges a renewal of a writer that is %s, with this token: %s", (standing, kind) => {
    const { leases, renew, events, tokens } = inStanding(standing);
    const continues = continued[standing].includes(kind);
    expect(leases.continues(W, tokens[kind])).toBe(continues);
    const next = renew(tokens[kind], 2000);
    expect(events).toEqual(standing === "held" && !continues ? ["replaced w"] : []);
    expect(leases.suspended).toBe(false);
    // A new process has a lease of its own; one that goes on has it from when its token was issued.
    const endsAt = (continues ? (kind === "last" ? 1000 : 500) : 2000) + LEASE;
    expect(leases.settle(endsAt - 1)).toBe(false);
    expect(leases.settle(endsAt)).toBe(true);
    expect(events.at(-1)).toBe(`lapsed w ${next}`);
  });

  it.each(cases)("judges a release of a writer that is %s, with this token: %s", (standing, kind) => {
    const { leases, tokens } = inStanding(standing);
    const frees = released[standing].includes(kind);
    const suspendedBefore = leases.suspended;
    leases.release(W, tokens[kind]);
    expect(leases.suspended).toBe(frees ? false : suspendedBefore);
    // Who has released it owes nothing any more, for ever.
    expect(leases.settle(1e9)).toBe(!frees);
  });

  it("knows no lease of a writer that nobody named, and ignores a release of it", () => {
    const { leases } = newLeases();
    expect(leases.continues(W, NONE)).toBe(false);
    expect(leases.release(W, NONE)).toBe(false);
    expect(leases.count).toBe(0);
  });

  it("lapses at the very moment the lease ends, once, and says which token was the last", () => {
    const { leases, renew, events } = newLeases();
    const first = renew(NONE, 100);
    expect(leases.settle(100 + LEASE - 1)).toBe(false);
    expect(events).toEqual([]);
    expect(leases.settle(100 + LEASE)).toBe(true);
    expect(leases.settle(100 + 9 * LEASE)).toBe(true);
    expect(events).toEqual([`lapsed w ${first}`]);
    expect(leases.continues(W, first)).toBe(false);
  });

  it("lets each writer's lease end by itself", () => {
    const { leases, renew, events } = newLeases();
    const mine = renew(NONE, 0);
    const other = renew(NONE, 1000, OTHER);
    renew(mine, 2000);
    // Renewed with the token of time 0: still ends first.
    expect(leases.settle(LEASE)).toBe(true);
    expect(events).toEqual(["lapsed w t3"]);
    leases.settle(1000 + LEASE);
    expect(events).toEqual(["lapsed w t3", `lapsed other ${other}`]);
  });

  it("never shortens a lease by a renewal that carries an older token", () => {
    const { leases, renew } = newLeases();
    const first = renew(NONE, 0);
    const second = renew(first, 1000);
    renew(second, 2000);
    renew(first, 3000);
    expect(leases.settle(1000 + LEASE - 1)).toBe(false);
    expect(leases.settle(1000 + LEASE)).toBe(true);
  });

  it("knows the last eight tokens of a lease", () => {
    const { leases, renew } = newLeases();
    const tokens = [renew(NONE, 0)];
    for (let n = 1; n < 9; n++) tokens.push(renew(tokens.at(-1)!, n));
    expect(tokens.map((one) => leases.continues(W, one))).toEqual([false, ...new Array(8).fill(true)]);
  });

  it("ends no lease that is not live", () => {
    const { leases, events } = newLeases();
    expect(leases.end(W)).toBe(false);
    leases.declare([W]);
    expect(leases.end(W)).toBe(true);
    expect(events).toEqual([]);
  });

  it("is suspended exactly while a named writer neither holds a live lease nor has released it", () => {
    const step = fc.record({
      act: fc.constantFrom("renew", "renew", "release", "declare", "wait"),
      name: fc.constantFrom(W, OTHER),
      token: fc.constantFrom("last", "none", "foreign"),
      ms: fc.nat(6000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { leases, renew } = newLeases();
        const model = new Map<
          typeof W,
          { last?: LeaseToken; issuedMs?: number; endsMs: number; released: boolean }
        >();
        let nowMs = 0;
        for (const { act, name, token: kind, ms } of steps) {
          const known = model.get(name);
          const live = known !== undefined && !known.released && nowMs < known.endsMs;
          const held =
            kind === "last" && known?.last !== undefined ? known.last : token(kind === "none" ? "" : "f");
          if (act === "wait") nowMs += ms;
          else if (act === "declare") {
            leases.declare([name]);
            if (known === undefined) model.set(name, { endsMs: Number.NEGATIVE_INFINITY, released: false });
          } else if (act === "renew") {
            const goesOn = live && held === known.last;
            const endsMs = (goesOn ? known.issuedMs! : nowMs) + LEASE;
            model.set(name, { last: renew(held, nowMs, name), issuedMs: nowMs, endsMs, released: false });
          } else if (act === "release") {
            leases.release(name, held);
            const names = known?.last === undefined ? held === NONE : held === known.last;
            if (known !== undefined && names) known.released = true;
          }
          const owing = [...model.values()].some((one) => !one.released && nowMs >= one.endsMs);
          expect(leases.settle(nowMs)).toBe(owing);
          expect(leases.suspended).toBe(owing);
        }
      }),
    );
  });
});
