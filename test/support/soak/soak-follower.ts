import type { Change, Homeserver, Position } from "../../../src/core/model/types.js";
import { LogCursor } from "../model/log-cursor.js";
import type { Sidecar } from "../model/sidecar.js";

/**
 * What stands at each place of a homeserver's log, as writers and subscribers tell it.
 * Fails if two of them tell of different changes at one place.
 */
export class ToldLog {
  readonly #told = new Map<string, string>();

  tell({ epoch, sequence }: Position, change: Change): void {
    const place = `${epoch}/${sequence}`;
    const what = textOf(change);
    const known = this.#told.get(place);
    if (known !== undefined && known !== what) throw new Error(`at ${place} is ${what}, and ${known}`);
    this.#told.set(place, what);
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= PLACES_MAX) break;
      this.#told.delete(oldest);
    }
  }
}

/** A subscriber at one sidecar, which connects again and again, and checks all that it hears. */
export class SoakFollower {
  readonly #name: Homeserver;
  readonly #log: ToldLog;
  readonly #cursor = new LogCursor();
  #connection = new AbortController();
  /** Changes that it has heard of. */
  heard = 0;

  constructor(name: Homeserver, log: ToldLog) {
    this.#name = name;
    this.#log = log;
  }

  /** Follows until it is hung up, or the sidecar is lost. */
  async follow(sidecar: Sidecar): Promise<void> {
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    this.#cursor.connect();
    const request = { homeserver: this.#name, resumeAfter: this.#cursor.here, signal };
    for await (const frame of sidecar.subscribe(request)) {
      for (const { sequence, change } of this.#cursor.apply(frame) ?? []) {
        this.#log.tell({ epoch: this.#cursor.here!.epoch, sequence }, change);
        this.heard += 1;
      }
    }
  }

  /** That it has received all notices up to a position, or a Reset to it. */
  expectAt({ epoch, sequence }: Position): void {
    const { here } = this.#cursor;
    if (here?.epoch !== epoch || here.sequence < sequence)
      throw new Error(`a subscriber is at ${here?.epoch}/${here?.sequence}, not at ${epoch}/${sequence}`);
  }

  hangUp(): void {
    this.#connection.abort();
  }
}

/** What writers know of it, too: they need not name an event's room. */
function textOf(change: Change): string {
  switch (change.kind) {
    case "redacted":
      return `${change.kind} ${change.eventId} ${change.redactedBy}`;
    case "rejected":
      return `${change.kind} ${change.eventId} ${change.rejected}`;
    case "invalidated":
      return `${change.kind} ${change.eventIds.join(" ")}`;
    case "roomPurged":
      return `${change.kind} ${change.roomId}`;
    case "homeserverPurged":
      return change.kind;
  }
}

/** More than are announced between the change and the last subscriber that receives it. */
const PLACES_MAX = 20_000;
