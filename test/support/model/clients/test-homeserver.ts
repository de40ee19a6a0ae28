import type {
  EventId,
  Homeserver,
  Position,
  RedactionView,
  RoomId,
} from "../../../../src/core/model/types.js";
import { Database } from "../oracle/database.js";
import type { Row } from "../oracle/event-facts.js";
import { type Announcement, staleness, tally } from "../oracle/truth.js";
import { unlessLost } from "../runs/scheduler.js";
import type { SeenReply, Sidecar } from "../system/sidecar.js";

/**
 * A homeserver: its database, what its writers have announced, and its workers'
 * way to read.
 */
export class TestHomeserver {
  readonly database = new Database();
  readonly announcements: Announcement[] = [];
  readonly name: Homeserver;
  readonly #sidecar: () => Sidecar;

  /** `sidecar` returns the sidecar that runs now. */
  constructor(name: Homeserver, sidecar: () => Sidecar) {
    this.name = name;
    this.#sidecar = sidecar;
  }

  get sidecar(): Sidecar {
    return this.#sidecar();
  }

  /**
   * Reads, and fails if it is served anything that an announcement which was
   * acknowledged before has outdated. Undefined if there was no reply.
   */
  async read(
    eventIds: readonly EventId[],
    view: RedactionView = "redacted",
    minPosition: Position | undefined = undefined,
  ): Promise<SeenReply | undefined> {
    const binding = [...this.announcements];
    const request = { homeserver: this.name, eventIds, view, minPosition };
    const reply = await unlessLost(this.sidecar.getEvents(request));
    if (reply === undefined) return undefined;
    tally.reads += reply.events.length;
    for (const seen of reply.events) {
      tally.hits += seen === undefined ? 0 : 1;
      const problem = seen && staleness(this.database, binding, seen, view);
      if (problem !== undefined) throw new Error(`${this.name} was served what is ${problem}`);
    }
    return reply;
  }

  /** The current position, for a write. */
  async position(): Promise<Position | undefined> {
    return (await this.read([]))?.position;
  }

  /** The current position, whatever it may be used for. */
  async endOfLog(): Promise<Position> {
    const request = {
      homeserver: this.name,
      eventIds: [],
      view: "redacted",
      minPosition: undefined,
    } as const;
    return (await this.sidecar.getEvents(request)).position;
  }

  /** The row of a new event, unlike any other. */
  newRow(roomId: RoomId, roomVersion: string, text: string): Row {
    const internalMetadata = `${this.name} ${this.database.commits + 1} `.padEnd(
      INTERNAL_METADATA_BYTES,
      ".",
    );
    return { roomId, roomVersion, text, internalMetadata };
  }
}

/** So much that a few events fill a small cache. */
const INTERNAL_METADATA_BYTES = 250;
