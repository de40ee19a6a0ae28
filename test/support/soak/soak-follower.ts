import type { Change, Homeserver, Position } from "../../../src/core/model/types.js";
import { LogCursor } from "../model/clients/log-cursor.js";
import type { Sidecar } from "../model/system/sidecar.js";

/**
 * The change at each place of a homeserver's log, as writers and subscribers report it.
 * Fails if two of them report different changes at one place.
 */
export class AgreedLog {
  readonly #changes = new Map<string, string>();

  record({ epoch, sequence }: Position, change: Change): void {
    const place = `${epoch}/${sequence}`;
    const what = textOf(change);
    const known = this.#changes.get(place);
    if (known !== undefined && known !== what) throw new Error(`at ${place} is ${what}, and ${known}`);
    this.#changes.set(place, what);
    for (const oldest of this.#changes.keys()) {
      if (this.#changes.size <= PLACES_MAX) break;
      this.#changes.delete(oldest);
    }
  }
}

/** A subscriber at one sidecar, which connects again and again, and checks all that it receives. */
export class SoakFollower {
  readonly #name: Homeserver;
  readonly #log: AgreedLog;
  readonly #cursor = new LogCursor();
  #connection = new AbortController();
  /** Changes that it has received. */
  received = 0;

  constructor(name: Homeserver, log: AgreedLog) {
    this.#name = name;
    this.#log = log;
  }

  /** Follows until it is disconnected, or the sidecar is lost. */
  async follow(sidecar: Sidecar): Promise<void> {
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    this.#cursor.connect();
    const request = { homeserver: this.#name, resumeAfter: this.#cursor.here, signal };
    for await (const frame of sidecar.subscribe(request)) {
      for (const { sequence, change } of this.#cursor.apply(frame) ?? []) {
        this.#log.record({ epoch: this.#cursor.here!.epoch, sequence }, change);
        this.received += 1;
      }
    }
  }

  /** That it has received all notices up to a position, or a Reset to it. */
  expectAt({ epoch, sequence }: Position): void {
    const { here } = this.#cursor;
    if (here?.epoch !== epoch || here.sequence < sequence)
      throw new Error(`a subscriber is at ${here?.epoch}/${here?.sequence}, not at ${epoch}/${sequence}`);
  }

  disconnect(): void {
    this.#connection.abort();
  }
}

/** The parts that writers know, too: they need not name an event's room. */
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
