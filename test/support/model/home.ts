import type {
  Epoch,
  EventId,
  Homeserver,
  Position,
  RedactionView,
  RoomId,
  Writer,
} from "../../../src/core/types.js";
import { Database } from "./database.js";
import type { Row } from "./event-facts.js";
import type { SeenReply, Sidecar } from "./sidecar.js";
import { unlessLost } from "./stage.js";
import { type Announcement, staleness, tally } from "./truth.js";

/** Where a homeserver's clients find their surroundings. */
export interface Surroundings {
  /** The sidecar that runs now. */
  sidecar(): Sidecar;
  nowMs(): number;
  readonly leaseMs: number;
}

/**
 * A homeserver: its database, what its writers have announced, and its workers'
 * way to read. A worker that names writers declares them whenever it sees an
 * epoch in which it has not, and does not use the reply that showed it.
 */
export class Home {
  readonly database = new Database();
  readonly announcements: Announcement[] = [];
  readonly #declared = new Set<Epoch>();

  readonly name: Homeserver;
  /** The writers that its clients name; none: it works without leases. */
  readonly writers: readonly Writer[];
  readonly surroundings: Surroundings;

  constructor(name: Homeserver, writers: readonly Writer[], surroundings: Surroundings) {
    this.name = name;
    this.writers = writers;
    this.surroundings = surroundings;
  }

  get sidecar(): Sidecar {
    return this.surroundings.sidecar();
  }

  /**
   * Reads, and fails if it is served anything that an announcement which was
   * acknowledged before has outdated. Undefined if the reply must not be used.
   */
  async read(
    eventIds: readonly EventId[],
    view: RedactionView = "redacted",
    minPosition: Position | undefined = undefined,
  ): Promise<SeenReply | undefined> {
    const nowMs = this.surroundings.nowMs();
    const binding = this.announcements.filter(
      ({ position, dueMs }) => position !== undefined || (dueMs !== undefined && nowMs >= dueMs),
    );
    const request = { homeserver: this.name, eventIds, view, minPosition };
    const reply = await unlessLost(this.sidecar.getEvents(request));
    if (reply === undefined || !(await this.#hasDeclaredIn(reply.position.epoch))) return undefined;
    tally.reads += reply.events.length;
    for (const seen of reply.events) {
      tally.hits += seen === undefined ? 0 : 1;
      const problem = seen && staleness(this.database, binding, seen, view);
      if (problem !== undefined) throw new Error(`${this.name} was served what is ${problem}`);
    }
    return reply;
  }

  /** The current position, for a write; undefined if it must not be used. */
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

  async #hasDeclaredIn(epoch: Epoch): Promise<boolean> {
    if (this.writers.length === 0 || this.#declared.has(epoch)) return true;
    const status = await unlessLost(this.sidecar.declareWriters(this.name, this.writers));
    if (status !== undefined) this.#declared.add(status.position.epoch);
    return false;
  }
}

/** So much that a few events fill a small cache. */
const INTERNAL_METADATA_BYTES = 250;
