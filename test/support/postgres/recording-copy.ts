import type { Change, Epoch, EventId, Homeserver, Position } from "../../../src/core/model/types.js";
import type { LogCopy } from "../../../src/log/port.js";

/** A copy that records the calls that it received. */
export class RecordingCopy implements LogCopy {
  readonly homeserver: Homeserver;
  position: Position = { epoch: "" as Epoch, sequence: 0 };
  /** In order: what was called. */
  readonly calls: string[] = [];
  /** Event IDs of the changes applied since the last restart, with their sequence numbers. */
  applied: string[] = [];
  currentCount = 0;

  constructor(homeserver = "a.example") {
    this.homeserver = homeserver as Homeserver;
  }

  restart(position: Position, reason: string): void {
    this.position = position;
    this.applied = [];
    this.calls.push(`restart ${reason}`);
  }

  dropEntries(reason: string): void {
    this.calls.push(`drop ${reason}`);
  }

  apply(change: Change): void {
    this.#next(`apply ${nameOf(change)}`, nameOf(change));
  }

  applyUnknown(): void {
    this.#next("unknown", "unknown");
  }

  becameCurrent(): void {
    this.currentCount += 1;
    this.calls.push("current");
  }

  /** What a caller of `append` does instead of `apply`. */
  writeThrough(change: Change): () => void {
    return () => this.#next(`write ${nameOf(change)}`, nameOf(change));
  }

  #next(call: string, name: string): void {
    this.position = { epoch: this.position.epoch, sequence: this.position.sequence + 1 };
    this.applied.push(`${this.position.sequence} ${name}`);
    this.calls.push(call);
  }
}

export function invalidated(...eventIds: string[]): Change {
  return { kind: "invalidated", roomId: undefined, eventIds: eventIds as EventId[] };
}

function nameOf(change: Change): string {
  return change.kind === "invalidated" ? change.eventIds.join("+") : change.kind;
}
