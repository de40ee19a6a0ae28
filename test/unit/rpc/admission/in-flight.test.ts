import { describe, expect, it } from "vitest";
import { InFlight } from "../../../../src/rpc/admission/in-flight.js";

const MIB = 1024 * 1024;
/** The largest request and the largest reply. */
const LARGEST_CALL_BYTES = 7.5 * MIB;

function inFlight(limits = { callsInFlightMax: 8, bytesInFlightMax: 40 * MIB }) {
  let nowMs = 0;
  return {
    inFlight: new InFlight(limits, () => nowMs),
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe("what is in flight", () => {
  it("is counted in calls and bytes, and given back once", () => {
    const { inFlight: all } = inFlight();
    const ticket = all.admitCall()!;
    expect(ticket.addBytes(300)).toBe(true);
    ticket.removeBytes(100);
    expect(all.usage()).toEqual({ calls: 1, bytes: 200 });
    ticket.release();
    ticket.release();
    expect(all.usage()).toEqual({ calls: 0, bytes: 0 });
  });

  it("is bounded in calls and in bytes, and a message of a stream is no call", () => {
    const { inFlight: all } = inFlight();
    const tickets = Array.from({ length: 8 }, () => all.admitCall());
    expect(all.admitCall()).toBeUndefined();
    const message = all.admitMessage();
    expect(message.addBytes(40 * MIB)).toBe(true);
    expect(tickets[0]?.addBytes(1)).toBe(false);
    message.release();
    expect(tickets[0]?.addBytes(40 * MIB)).toBe(true);
    tickets[1]?.release();
    expect(all.admitCall()).toBeDefined();
  });

  it("may all be one homeserver's while there is no other", () => {
    const { inFlight: all } = inFlight();
    for (let count = 0; count < 8; count++) expect(all.admitCall()?.assign("alpha")).toBe(true);
  });

  it("is one homeserver's to a quarter while there are several, until the other has been idle for ten minutes", () => {
    const { inFlight: all, advance } = inFlight();
    const other = all.admitCall()!;
    expect(other.assign("beta")).toBe(true);
    const first = all.admitCall()!;
    expect(first.assign("alpha")).toBe(true);
    expect(all.admitCall()?.assign("alpha")).toBe(true);
    const third = all.admitCall()!;
    expect(third.assign("alpha")).toBe(false);
    expect(first.addBytes(10 * MIB)).toBe(true);
    expect(first.addBytes(1)).toBe(false);
    expect(all.usage()).toEqual({ calls: 4, bytes: 10 * MIB });
    third.release();
    advance(600_000);
    expect(all.admitCall()?.assign("alpha")).toBe(true);
    expect(first.addBytes(1)).toBe(true);
  });

  it("counts what was taken before the homeserver was known, and gives it back with the ticket", () => {
    const { inFlight: all } = inFlight();
    all.admitMessage().assign("beta");
    const large = all.admitCall()!;
    expect(large.addBytes(10 * MIB + 1)).toBe(true);
    expect(large.assign("alpha")).toBe(false);
    large.release();
    const fitting = all.admitCall()!;
    fitting.addBytes(10 * MIB);
    expect(fitting.assign("alpha")).toBe(true);
    fitting.release();
    expect(all.admitMessage().assign("alpha")).toBe(true);
    expect(all.usage()).toEqual({ calls: 0, bytes: 0 });
  });

  it("leaves room for one call of the largest request and reply, however small the quarter is", () => {
    const { inFlight: all } = inFlight({ callsInFlightMax: 2, bytesInFlightMax: 16 * MIB });
    all.admitMessage().assign("beta");
    const only = all.admitCall()!;
    expect(only.addBytes(LARGEST_CALL_BYTES)).toBe(true);
    expect(only.assign("alpha")).toBe(true);
    expect(only.addBytes(1)).toBe(false);
    expect(all.admitCall()?.assign("alpha")).toBe(false);
  });
});
