import type { Clock } from "../clock.js";
import { epochOf, type Position } from "../position.js";
import { type AnnounceCall, announceAll } from "./announcer.js";
import { type Gate, type Poll, ROWS_MAX } from "./gate.js";
import {
  announcementOf,
  deleteRows,
  poll,
  type Queryable,
  raiseCounters,
  registerEpoch,
} from "./outbox-table.js";

/** The calls of the poller: once each, with a short deadline. */
export interface RelayCalls {
  readonly announce: AnnounceCall;
  /** Requests the position. */
  position(): Promise<Position>;
  /** PurgeHomeserver with new_epoch. */
  beginEpoch(): Promise<Position>;
}

/** What follows each poll of the outbox: registers epochs, relays rows, shows that this process is alive. */
export class Relay {
  readonly #gate: Gate;
  readonly #clock: Clock;
  readonly #calls: RelayCalls;
  #before: Poll | undefined;

  constructor(gate: Gate, clock: Clock, calls: RelayCalls) {
    this.#gate = gate;
    this.#clock = clock;
    this.#calls = calls;
  }

  /** Polls, and does what is most urgent. Returns whether the next turn is due at once. */
  async turn(client: Queryable, endsAt: number): Promise<boolean> {
    const shown = await poll(client, this.#clock);
    const before = this.#before;
    this.#before = shown;
    this.#gate.learn(shown);
    // The cache may hold what this database has never held, or holds no more.
    if (this.#gate.isOtherDatabase) return await this.#beginEpoch(client, shown);
    const epoch = await this.#calls.position().then(epochOf, () => undefined);
    if (epoch !== undefined && epoch !== shown.epoch && (await registerEpoch(client, epoch, shown))) {
      // It is used from the next poll on, which shows it.
      return true;
    }
    if (this.#gate.isEpochSilent) return await this.#beginEpoch(client, shown);
    // One process that raises them is enough.
    const raised = {
      counter: before === undefined || shown.counter === before.counter,
      heard: epoch === shown.epoch && (before === undefined || shown.heard === before.heard),
    };
    await raiseCounters(client, raised, shown.epoch);
    if (epoch === shown.epoch) await this.#relay(client, shown, endsAt);
    return false;
  }

  async #beginEpoch(client: Queryable, shown: Poll): Promise<boolean> {
    const epoch = await this.#calls.beginEpoch().then(epochOf, () => undefined);
    if (epoch === undefined || !(await registerEpoch(client, epoch, shown))) return false;
    this.#gate.purged();
    return true;
  }

  async #relay(client: Queryable, { rows, epoch: registered }: Poll, endsAt: number): Promise<void> {
    if (rows.length > ROWS_MAX) {
      const epoch = await this.#calls.announce({ kind: "homeserver" }).then(epochOf, () => undefined);
      if (epoch !== undefined && this.#gate.announced(rows, epoch)) await deleteRows(client, rows, epoch);
      return;
    }
    for (const row of this.#gate.overdue()) {
      const announcement = await announcementOf(client, row);
      // A row that is gone was relayed by another process.
      if (announcement !== undefined) {
        const epoch = await announceAll(announcement, this.#calls.announce);
        if (epoch === undefined || !this.#gate.announced([row], epoch)) break;
      }
      if (this.#clock() >= endsAt) break;
    }
    const deletable = this.#gate.deletable();
    if (deletable.length > 0) await deleteRows(client, deletable, registered);
  }
}
