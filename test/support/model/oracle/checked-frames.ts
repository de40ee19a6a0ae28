import type { SubscribeRequest } from "../../../../src/core/model/store.js";
import type { Position, SubscriptionFrame } from "../../../../src/core/model/types.js";
import { expectSame } from "./expect-same.js";
import type { Reference } from "./reference.js";
import type { ReferenceHomeserver } from "./reference-homeserver.js";

/** The frames of a subscription, each compared to what the reference would send now. */
export async function* checkedFrames(
  reference: Reference,
  { homeserver: name, resumeAfter }: SubscribeRequest,
  frames: AsyncIterable<SubscriptionFrame>,
): AsyncGenerator<SubscriptionFrame, void> {
  const { homeserver } = reference.enter(name);
  reference.countSubscriber(name, 1);
  let cursor: Position | undefined;
  try {
    for await (const frame of frames) {
      const reach = reference.reach(name, homeserver);
      if (cursor === undefined) expectFirst(reference, homeserver, frame, resumeAfter, reach);
      else expectNext(reference, homeserver, frame, cursor, reach);
      cursor = frame.kind === "batch" ? frame.to : frame.position;
      yield frame;
    }
  } catch (failure) {
    if (cursor === undefined) reference.lose(name);
    throw failure;
  } finally {
    reference.countSubscriber(name, -1);
  }
}

function expectFirst(
  reference: Reference,
  homeserver: ReferenceHomeserver,
  frame: SubscriptionFrame,
  resumeAfter: Position | undefined,
  reach: number,
): void {
  const reason = resumeAfter && refusal(homeserver, resumeAfter, reach);
  if (reason !== undefined) {
    expectReset(reference, homeserver, frame, reason);
    return;
  }
  const expected = { kind: "ready", resumed: resumeAfter !== undefined };
  expectSame("first frame", { ...frame, position: undefined }, expected);
  if (frame.kind === "ready") reference.expectPosition(homeserver, frame.position, resumeAfter?.sequence);
}

function expectNext(
  reference: Reference,
  homeserver: ReferenceHomeserver,
  frame: SubscriptionFrame,
  cursor: Position,
  reach: number,
): void {
  const reason = refusal(homeserver, cursor, reach);
  if (reason !== undefined) {
    expectReset(reference, homeserver, frame, reason);
  } else if (cursor.sequence < homeserver.sequence) {
    expectBatch(homeserver, frame, cursor);
  } else {
    expectSame("frame when there is nothing to tell", frame, { kind: "progress", position: cursor });
  }
}

function expectReset(
  reference: Reference,
  homeserver: ReferenceHomeserver,
  frame: SubscriptionFrame,
  reason: string,
): void {
  expectSame("reset", { ...frame, position: undefined }, { kind: "reset", reason });
  if (frame.kind === "reset") reference.expectPosition(homeserver, frame.position);
}

function expectBatch(homeserver: ReferenceHomeserver, frame: SubscriptionFrame, cursor: Position): void {
  expectSame("frame when there is something to tell", frame.kind, "batch");
  if (frame.kind !== "batch") return;
  const { from, to, notices } = frame;
  expectSame("beginning of a batch", from, cursor);
  expectSame("end of a batch", to, { epoch: cursor.epoch, sequence: cursor.sequence + notices.length });
  expectSame("whether a batch tells anything", notices.length > 0, true);
  for (const [at, { sequence, change }] of notices.entries()) {
    expectSame("sequence number", sequence, cursor.sequence + at + 1);
    const made = homeserver.changes[sequence - 1]!;
    // Where the caller named no room, the sidecar may know one.
    const isOpen = "roomId" in made && made.roomId === undefined;
    expectSame("change", isOpen ? { ...change, roomId: undefined } : change, made);
  }
}

/** Why one who has applied a position cannot go on from there. */
function refusal(
  homeserver: ReferenceHomeserver,
  position: Position,
  reach: number,
): "wrongEpoch" | "tooOld" | undefined {
  if (!homeserver.covers(position)) return "wrongEpoch";
  return position.sequence < reach ? "tooOld" : undefined;
}
