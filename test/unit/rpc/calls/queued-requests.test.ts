import { describe, expect, it } from "vitest";
import { InFlight, InFlightTicket } from "../../../../src/rpc/admission/in-flight.js";
import { assignPlace, type PolicedCall } from "../../../../src/rpc/calls/call-policy.js";
import { QueuedRequests } from "../../../../src/rpc/calls/queued-requests.js";

const MIB = 1024 * 1024;
const FLOOD = "flood.example";
const QUIET = "quiet.example";
/** What a call policy reads of its call before it knows the homeserver. */
const CALL = {
  holder: { connection: undefined },
  principal: undefined,
  labels: { path: "/splitcache.v1.EventCacheService/GetEventsStream" },
} as unknown as PolicedCall;

/** Two homeservers are active, so each may hold a quarter: 10 MiB. */
function open() {
  const inFlight = new InFlight({ callsInFlightMax: 8, bytesInFlightMax: 40 * MIB }, () => 0);
  const queueOf = (homeserver: string) => {
    const queue = new QueuedRequests(CALL, inFlight);
    const context = { allowed: undefined, what: "read streams", queue };
    return { queue, assigned: assignPlace(CALL, undefined, homeserver, context) };
  };
  queueOf(QUIET);
  return { inFlight, queueOf };
}

const arrival = (bytes: number) => ({
  ...{ bytes, messages: 0, largestBytes: bytes },
  ...{ isInside: true, isCompressed: false, isMiddle: false },
});

describe("requests of a stream that wait", () => {
  it("count for the homeserver of the stream: beyond its share they are refused, and others have room", () => {
    const { queueOf } = open();
    const { queue, assigned } = queueOf(FLOOD);
    expect(assigned).toBeUndefined();
    expect(queue.add(arrival(10 * MIB))).toBeUndefined();
    expect(queue.add(arrival(1))).toMatchObject({
      kind: "exhausted",
      message: expect.stringContaining("bytes in flight of this homeserver"),
    });
    expect(queueOf(FLOOD).queue.add(arrival(1))).toMatchObject({ kind: "exhausted" });
    expect(queueOf(QUIET).queue.add(arrival(10 * MIB))).toBeUndefined();
  });

  it("use up the share of its calls, and give it back when the stream ends", () => {
    const { inFlight, queueOf } = open();
    const { queue } = queueOf(FLOOD);
    queue.add(arrival(10 * MIB));
    const admitted = inFlight.admitCall({ connection: undefined, homeserver: FLOOD });
    if (!(admitted instanceof InFlightTicket)) throw admitted;
    expect(admitted.addBytes(1)).toMatchObject({ kind: "exhausted" });
    queue.release();
    expect(admitted.addBytes(1)).toBeUndefined();
  });
});
