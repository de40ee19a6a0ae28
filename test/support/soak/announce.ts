import type { Change, Homeserver, Position } from "../../../src/core/model/types.js";
import type { Sidecar } from "../model/system/sidecar.js";
import { eventId } from "../store/store-harness.js";
import { ALL, nameOf, roomOf } from "./soak-homeserver.js";

/** How many kinds of changes there are; most of them concern one event. */
export const KINDS = 1000;

export interface Made {
  readonly n: number;
  /** Decides what becomes of it. */
  readonly kind: number;
  readonly version: number;
  readonly asOf: Position | undefined;
}

export interface Announced {
  readonly position: Position;
  /** Undefined: a new epoch. */
  readonly change: Change | undefined;
}

/** The events that a change of a kind concerns. */
export function touchedBy(kind: number, n: number): readonly number[] {
  if (kind < 3) return ALL;
  return kind < 20 ? ALL.filter((other) => roomOf(other) === roomOf(n)) : [n];
}

/** Makes a change known. Says where in the log it is, and as what. */
export async function announce(
  at: Sidecar,
  name: Homeserver,
  { n, kind, version, asOf }: Made,
): Promise<Announced> {
  const one = { roomId: undefined, eventId: nameOf(n) };
  if (kind === 0) return { position: await at.purgeHomeserver(name, true), change: undefined };
  if (kind < 3)
    return { position: await at.purgeHomeserver(name, false), change: { kind: "homeserverPurged" } };
  if (kind < 20) {
    const change = { kind: "roomPurged", roomId: roomOf(n) } as const;
    return { position: await at.purgeRoom(name, change.roomId), change };
  }
  if (kind < 350) {
    const eventIds = [one.eventId];
    const position = await at.invalidateEvents(name, undefined, eventIds);
    return { position, change: { kind: "invalidated", roomId: undefined, eventIds } };
  }
  const set = { homeserver: name, ...one, asOf };
  if (kind < 700) {
    const rejectedReason = String(version);
    const { position } = await at.setRejected({ ...set, rejected: true, rejectedReason });
    return { position, change: { kind: "rejected", ...one, rejected: true } };
  }
  const redactedBy = eventId(`$${version}`);
  const { position } = await at.setRedaction({
    ...set,
    redaction: { redactedBy, redactedBody: undefined },
  });
  return { position, change: { kind: "redacted", ...one, redactedBy } };
}
