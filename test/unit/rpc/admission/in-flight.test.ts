import { describe, expect, it } from "vitest";
import type { Holder } from "../../../../src/rpc/admission/capacity.js";
import { InFlight, InFlightTicket } from "../../../../src/rpc/admission/in-flight.js";
import { idleConnection } from "../../../support/server/idle-connection.js";

const MIB = 1024 * 1024;
/** The largest request and the largest reply. */
const LARGEST_CALL_BYTES = 7.5 * MIB;
/** Whose share is not looked at. */
const ANYBODY: Holder = { connection: undefined };

function inFlight(limits = { callsInFlightMax: 8, bytesInFlightMax: 40 * MIB }) {
  let nowMs = 0;
  const all = new InFlight(limits, () => nowMs);
  return {
    all,
    /** A ticket for a call; fails if there is none. */
    admit(holder = ANYBODY): InFlightTicket {
      const admitted = all.admitCall(holder);
      if (!(admitted instanceof InFlightTicket)) throw admitted;
      return admitted;
    },
    message: (holder = ANYBODY) => all.admitMessage(holder),
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

const refusal = { kind: "exhausted" };

describe("usage in flight", () => {
  it("is counted in calls and bytes, and given back once", () => {
    const { all, admit } = inFlight();
    const ticket = admit();
    expect(ticket.addBytes(300)).toBeUndefined();
    ticket.removeBytes(100);
    expect(all.usage()).toEqual({ calls: 1, bytes: 200 });
    ticket.release();
    ticket.release();
    expect(all.usage()).toEqual({ calls: 0, bytes: 0 });
  });

  it("counts nothing for a released ticket, even if its call reports more", () => {
    const { all, admit, message } = inFlight();
    for (const ticket of [admit(), message()]) {
      ticket.addBytes(100);
      ticket.release();
      expect(ticket.addBytes(5000)).toBeUndefined();
      ticket.removeBytes(100);
      expect(ticket.assign("alpha")).toBeUndefined();
      ticket.release();
      expect(all.usage()).toEqual({ calls: 0, bytes: 0 });
    }
    message().assign("beta");
    expect(message().assign("alpha")).toBeUndefined();
  });

  it("never releases more than it took", () => {
    const { all, message } = inFlight();
    const ticket = message();
    ticket.addBytes(100);
    ticket.removeBytes(300);
    expect(all.usage()).toEqual({ calls: 0, bytes: 0 });
  });

  it("is bounded in calls and in bytes, and a message of a stream is no call", () => {
    const { all, admit, message } = inFlight();
    const tickets = Array.from({ length: 8 }, () => admit());
    expect(all.admitCall(ANYBODY)).toMatchObject(refusal);
    const stream = message();
    expect(stream.addBytes(40 * MIB)).toBeUndefined();
    expect(tickets[0]?.addBytes(1)).toMatchObject(refusal);
    stream.release();
    expect(tickets[0]?.addBytes(40 * MIB)).toBeUndefined();
    tickets[1]?.release();
    admit();
  });

  it("is one connection's to half, of calls and of bytes, and says whose share is used up", () => {
    const { all, admit, message } = inFlight();
    const holder = { connection: idleConnection() };
    for (let count = 0; count < 4; count++) admit(holder);
    expect(all.admitCall(holder)).toMatchObject({ message: expect.stringContaining("of this connection") });
    const large = message(holder);
    expect(large.addBytes(20 * MIB)).toBeUndefined();
    expect(large.addBytes(1)).toMatchObject({ message: expect.stringContaining("of this connection") });
    const beside = admit({ connection: idleConnection() });
    expect(beside.addBytes(LARGEST_CALL_BYTES)).toBeUndefined();
  });

  it("may all be one homeserver's while there is no other", () => {
    const { admit } = inFlight();
    for (let count = 0; count < 8; count++) expect(admit().assign("alpha")).toBeUndefined();
  });

  it("is one homeserver's to a quarter while there are several, until the other has been idle for ten minutes", () => {
    const { all, admit, advance } = inFlight();
    expect(admit().assign("beta")).toBeUndefined();
    const first = admit();
    expect(first.assign("alpha")).toBeUndefined();
    expect(admit().assign("alpha")).toBeUndefined();
    const third = admit();
    expect(third.assign("alpha")).toMatchObject(refusal);
    expect(first.addBytes(10 * MIB)).toBeUndefined();
    expect(first.addBytes(1)).toMatchObject(refusal);
    expect(all.usage()).toEqual({ calls: 4, bytes: 10 * MIB });
    third.release();
    advance(600_000);
    expect(admit().assign("alpha")).toBeUndefined();
    expect(first.addBytes(1)).toBeUndefined();
  });

  it("counts what was taken before the homeserver was known, and gives it back with the ticket", () => {
    const { all, admit, message } = inFlight();
    message().assign("beta");
    const large = admit();
    expect(large.addBytes(10 * MIB + 1)).toBeUndefined();
    expect(large.assign("alpha")).toMatchObject(refusal);
    large.release();
    const fitting = admit();
    fitting.addBytes(10 * MIB);
    expect(fitting.assign("alpha")).toBeUndefined();
    expect(fitting.assign("alpha")).toBeUndefined();
    fitting.release();
    expect(message().assign("alpha")).toBeUndefined();
    expect(all.usage()).toEqual({ calls: 0, bytes: 0 });
  });

  it("leaves room for one call of the largest request and reply, however small the share is", () => {
    const { admit, message } = inFlight({ callsInFlightMax: 2, bytesInFlightMax: 16 * MIB });
    message().assign("beta");
    const only = admit();
    expect(only.addBytes(LARGEST_CALL_BYTES)).toBeUndefined();
    expect(only.assign("alpha")).toBeUndefined();
    expect(only.addBytes(1)).toMatchObject(refusal);
    expect(admit().assign("alpha")).toMatchObject(refusal);
  });
});
