import type { SetResult } from "../../../../src/core/model/store.js";
import type { Change, Epoch, EventId, Homeserver, Position } from "../../../../src/core/model/types.js";
import type { Watch, WatchSurroundings } from "../system/memory-system.js";
import type { Sidecar } from "../system/sidecar.js";
import { checkedFrames } from "./checked-frames.js";
import { isSame } from "./event-facts.js";
import { expectSame } from "./expect-same.js";
import { Reference } from "./reference.js";
import type { ReferenceHomeserver } from "./reference-homeserver.js";

export interface CheckOptions {
  /** The epochs of earlier sidecars: none of them may come back. */
  readonly epochs: Set<Epoch>;
  /** Whether a frame is made when it is asked for; otherwise it may have waited on its way, and is not compared. */
  readonly comparesFrames: boolean;
}

/**
 * A sidecar whose every reply is compared to the reference's: which events hit
 * and what they look like, every outcome, every position, every frame. Calls
 * must take effect in the order in which they are made.
 */
export function checkedSidecar(
  sidecar: Sidecar,
  surroundings: WatchSurroundings,
  options: CheckOptions,
): Watch {
  const reference = new Reference(surroundings, options.epochs);

  async function set(
    { homeserver: name, eventId }: { readonly homeserver: Homeserver; readonly eventId: EventId },
    predict: (homeserver: ReferenceHomeserver, reach: number) => string,
    call: () => Promise<SetResult>,
  ): Promise<SetResult> {
    const { homeserver, reach } = reference.enter(name);
    const wasHeld = homeserver.live(eventId, reference.nowMs) !== undefined;
    const predicted = predict(homeserver, reach);
    const result = await reference.reply(name, call());
    const wasEvicted = reference.isTiny && wasHeld && result.outcome === "absent";
    if (wasEvicted) homeserver.entries.delete(eventId);
    else expectSame("outcome of a Set", result.outcome, predicted);
    reference.expectPosition(homeserver, result.position);
    return result;
  }

  async function announce(
    name: Homeserver,
    change: Change,
    call: () => Promise<Position>,
  ): Promise<Position> {
    const { homeserver } = reference.enter(name);
    homeserver.announce(change);
    const position = await reference.reply(name, call());
    reference.expectPosition(homeserver, position);
    return position;
  }

  const checked: Sidecar = {
    async getEvents(request) {
      const { homeserver } = reference.enter(request.homeserver);
      const predicted = homeserver.get(request, reference.nowMs);
      const reply = await reference.reply(request.homeserver, sidecar.getEvents(request));
      reference.expectPosition(homeserver, reply.position);
      expectSame("number of answers", reply.events.length, predicted.length);
      for (const [at, event] of reply.events.entries()) {
        const mayBeEvicted = reference.isTiny && event === undefined;
        if (!mayBeEvicted && !isSame(event, predicted[at])) expectSame("event", event, predicted[at]);
      }
      return reply;
    },
    async putEvents(request) {
      const { homeserver, reach } = reference.enter(request.homeserver);
      const predicted = homeserver.put(request, reach, reference.nowMs);
      const result = await reference.reply(request.homeserver, sidecar.putEvents(request));
      expectSame("outcomes of a put", result.outcomes, predicted);
      reference.expectPosition(homeserver, result.position);
      return result;
    },
    setRedaction(request) {
      const { roomId, eventId, redaction } = request;
      const change: Change = { kind: "redacted", roomId, eventId, redactedBy: redaction.redactedBy };
      const body = redaction.redactedBody && Buffer.from(redaction.redactedBody).toString();
      const changed = { redaction: { by: redaction.redactedBy, body } };
      return set(
        request,
        (homeserver, reach) => homeserver.set(request, change, changed, reach, reference.nowMs),
        () => sidecar.setRedaction(request),
      );
    },
    setRejected(request) {
      const { roomId, eventId, rejected, rejectedReason } = request;
      const change: Change = { kind: "rejected", roomId, eventId, rejected };
      const changed = { rejection: rejected ? rejectedReason : undefined };
      return set(
        request,
        (homeserver, reach) => homeserver.set(request, change, changed, reach, reference.nowMs),
        () => sidecar.setRejected(request),
      );
    },
    invalidateEvents: (name, roomId, eventIds) =>
      announce(name, { kind: "invalidated", roomId, eventIds: [...new Set(eventIds)] }, () =>
        sidecar.invalidateEvents(name, roomId, eventIds),
      ),
    purgeRoom: (name, roomId) =>
      announce(name, { kind: "roomPurged", roomId }, () => sidecar.purgeRoom(name, roomId)),
    async purgeHomeserver(name, newEpoch) {
      if (!newEpoch) {
        return announce(name, { kind: "homeserverPurged" }, () => sidecar.purgeHomeserver(name, false));
      }
      const { homeserver } = reference.enter(name);
      homeserver.startEpoch();
      const position = await reference.reply(name, sidecar.purgeHomeserver(name, true));
      reference.expectPosition(homeserver, position);
      return position;
    },
    subscribe(request) {
      const frames = sidecar.subscribe(request);
      return options.comparesFrames ? checkedFrames(reference, request, frames) : frames;
    },
  };
  return { sidecar: checked, ticked: () => reference.ticked(), check: () => {} };
}
