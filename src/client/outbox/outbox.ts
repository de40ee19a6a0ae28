import type { Clock } from "../clock.js";
import { pause } from "../signals.js";
import { type Changes, type OutboxRow, outboxRow } from "./announcement.js";
import { type AnnounceCall, announceAll } from "./announcer.js";
import { type Gate, POLL_AGE_MS_MAX, POLL_MS, WRITE_WAIT_MS } from "./gate.js";
import { Link, type OutboxClient } from "./link.js";
import { createOutboxTables, deleteRows, insertRow, type Queryable } from "./outbox-table.js";
import { Relay, type RelayCalls } from "./relay.js";

export interface OutboxOptions {
  /**
   * Opens a connection of its own to the primary of the homeserver's database, as
   * `async () => { const client = new pg.Client(url); await client.connect(); return client; }`. It is called
   * again when a connection fails. A lagging replica breaks the bound.
   */
  readonly connect: () => Promise<OutboxClient>;
}

/** The part of a pool of `pg` that `transaction` uses. */
export interface PoolLike<Client extends PoolClientLike> {
  connect(): Promise<Client>;
}

export interface PoolClientLike extends Queryable {
  release(error?: Error | boolean): void;
}

export interface Committed<T> {
  readonly result: T;
  /**
   * Whether no lookup that begins later is stale. False: announcing took too long. Readers have closed their
   * gates by now, and the processes that poll relay the row.
   */
  readonly isVisible: boolean;
}

const PAUSE_MS = 50;
/** The first one may begin an epoch, the next one may show that another process did. */
const TURNS_AT_START = 3;

/** Announces what this process changes, and relays what other processes left behind. Rules: docs/announcing.md. */
export class Outbox {
  readonly #gate: Gate;
  readonly #clock: Clock;
  readonly #announce: AnnounceCall;
  readonly #polls: Link;
  readonly #writes: Link;
  readonly #relay: Relay;
  readonly #end = new AbortController();
  readonly #warn: (message: string) => void;
  #running: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(
    { connect }: OutboxOptions,
    gate: Gate,
    clock: Clock,
    calls: RelayCalls,
    warn: (message: string) => void,
  ) {
    this.#gate = gate;
    this.#clock = clock;
    this.#announce = calls.announce;
    this.#warn = warn;
    this.#polls = new Link(connect, POLL_AGE_MS_MAX);
    this.#writes = new Link(connect, POLL_AGE_MS_MAX);
    this.#relay = new Relay(gate, clock, calls);
  }

  /** Creates the tables and registers the epoch. Then polls each second until `close`. */
  async start(): Promise<void> {
    await this.#polls.run(createOutboxTables);
    for (let turn = 0; turn < TURNS_AT_START && (await this.#turn()); turn += 1);
    this.#running = this.#turns();
  }

  /** Whether the cache may be used at this moment. */
  get isOpen(): boolean {
    return this.#gate.isOpen();
  }

  /**
   * Adds what a transaction owes to it, before its COMMIT. Call `announce` with the row after COMMIT has
   * succeeded. If the outcome of COMMIT is unknown, do nothing: if the row exists, a poll finds it.
   */
  async insert(client: Queryable, changes: Changes): Promise<OutboxRow> {
    const row = outboxRow(changes);
    await insertRow(client, row);
    return row;
  }

  /** Announces a committed row. Returns when it is visible, or after T (4 s). Never rejects. */
  async announce(row: OutboxRow): Promise<boolean> {
    const endsAt = this.#clock() + WRITE_WAIT_MS;
    let isDeleted = false;
    let epoch = "";
    while (this.#clock() < endsAt && !this.#end.signal.aborted) {
      if (!isDeleted) {
        epoch = (await announceAll(row.announcement, this.#announce)) ?? "";
        isDeleted = this.#gate.announced([row.id], epoch) && (await this.#delete(row.id, epoch));
      }
      if (isDeleted && this.#gate.counts(epoch)) return true;
      await pause(PAUSE_MS, this.#end.signal);
    }
    return false;
  }

  /**
   * Runs a transaction on a client of the pool, with one row for what `changed` was called with, and announces
   * it. Rejects with what `work` or the database rejects with.
   */
  async transaction<Client extends PoolClientLike, T>(
    pool: PoolLike<Client>,
    work: (client: Client, changed: (changes: Changes) => void) => Promise<T>,
  ): Promise<Committed<T>> {
    const client = await pool.connect();
    const owed: Changes[] = [];
    let row: OutboxRow | undefined;
    let result: T;
    try {
      await client.query("BEGIN");
      result = await work(client, (changes) => void owed.push(changes));
      if (owed.length > 0) row = await this.insert(client, merged(owed));
      await client.query("COMMIT");
    } catch (error) {
      // A connection whose COMMIT or ROLLBACK failed is not used again.
      const rolledBack = await client.query("ROLLBACK").then(
        () => true,
        () => false,
      );
      client.release(!rolledBack);
      throw error;
    }
    client.release();
    return { result, isVisible: row === undefined || (await this.announce(row)) };
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#running;
    await Promise.all([this.#polls.close(), this.#writes.close()]);
  }

  #delete(id: string, epoch: string): Promise<boolean> {
    return this.#writes.run((client) => deleteRows(client, [id], epoch)).catch(() => false);
  }

  async #turns(): Promise<void> {
    while (!this.#end.signal.aborted) {
      const startedAt = this.#clock();
      if (!(await this.#turn()))
        await pause(Math.max(PAUSE_MS, startedAt + POLL_MS - this.#clock()), this.#end.signal);
    }
  }

  /** Returns whether the next turn is due at once. */
  async #turn(): Promise<boolean> {
    const endsAt = this.#clock() + POLL_MS;
    try {
      const isAgain = await this.#polls.run((client) => this.#relay.turn(client, endsAt));
      this.#hasFailed = false;
      return isAgain;
    } catch (error) {
      // The gate closes by itself. Nothing may end this loop: it would stay closed.
      if (!this.#hasFailed)
        this.#warn(`the outbox cannot be followed: ${error instanceof Error ? error.message : error}`);
      this.#hasFailed = true;
      return false;
    }
  }
}

function merged(all: readonly Changes[]): Changes {
  const events: Record<string, string[]> = Object.create(null);
  for (const changes of all)
    for (const [roomId, ids] of Object.entries(changes.events ?? {}))
      events[roomId] = [...(events[roomId] ?? []), ...ids];
  return {
    events,
    rooms: all.flatMap(({ rooms = [] }) => rooms),
    homeserver: all.some(({ homeserver }) => homeserver === true),
  };
}
