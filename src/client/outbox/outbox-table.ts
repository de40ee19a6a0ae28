import type { Clock } from "../clock.js";
import type { OutboxRow } from "./announcement.js";
import { type Poll, ROWS_MAX } from "./gate.js";

/** The part of a client of `pg` that this library uses. */
export interface Queryable {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[]; readonly rowCount: number | null }>;
}

const VERSION = 1;

const TABLES = `
CREATE TABLE IF NOT EXISTS splitcache_outbox (id TEXT PRIMARY KEY, announcement TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS splitcache_state (
  singleton INTEGER PRIMARY KEY CHECK (singleton = 1), version INTEGER NOT NULL,
  epoch TEXT NOT NULL, generation TEXT NOT NULL, counter BIGINT NOT NULL, heard BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS splitcache_superseded_epochs (
  epoch TEXT PRIMARY KEY, superseded_at BIGINT NOT NULL);
INSERT INTO splitcache_state VALUES (1, ${VERSION}, '', '', 0, 0) ON CONFLICT DO NOTHING;`;

/** Superseded epochs that are remembered at least. */
const SUPERSEDED_MAX = 10_000;

/** Of a PostgreSQL server: a promotion changes the timeline. */
const GENERATION = `
SELECT epoch, generation AS recorded, counter::text, heard::text,
       (SELECT system_identifier FROM pg_control_system()) || '/' ||
         left(pg_walfile_name(pg_current_wal_lsn()), 8) AS generation
  FROM splitcache_state`;

const TRIES = 5;
/** PostgreSQL fails one of two that create a table at the same moment. */
const UNIQUE_VIOLATION = "23505";

/** Creates the tables that all clients of the database share. Throws if they are of a later version. */
export async function createOutboxTables(client: Queryable): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(TABLES);
      break;
    } catch (error) {
      const isRace = error instanceof Error && "code" in error && error.code === UNIQUE_VIOLATION;
      if (!isRace || attempt === TRIES) throw error;
    }
  }
  const { rows } = await client.query("SELECT version FROM splitcache_state");
  const [state] = rows as [{ readonly version: number }];
  if (state.version !== VERSION)
    throw new Error(`splitcache_state.version: is ${state.version}, this program knows ${VERSION}`);
}

/** Adds a row to the transaction of `client`. */
export async function insertRow(client: Queryable, { id, announcement }: OutboxRow): Promise<void> {
  await client.query("INSERT INTO splitcache_outbox VALUES ($1, $2)", [id, announcement]);
}

export async function poll(client: Queryable, clock: Clock): Promise<Poll> {
  const sentAt = clock();
  // In this order: a row that is gone because it was announced in another epoch is not shown, so the epoch
  // that is read after it must be that one.
  const found = await client.query(`SELECT id FROM splitcache_outbox LIMIT ${ROWS_MAX + 1}`);
  const { rows } = await client.query(GENERATION);
  const [state] = rows as [
    Readonly<Record<"epoch" | "recorded" | "counter" | "heard" | "generation", string>>,
  ];
  return {
    sentAt,
    rows: (found.rows as { readonly id: string }[]).map(({ id }) => id),
    epoch: state.epoch,
    generation: state.generation,
    recordedGeneration: state.recorded,
    counter: BigInt(state.counter),
    heard: BigInt(state.heard),
  };
}

/** What a row owes; undefined if it is gone. */
export async function announcementOf(client: Queryable, id: string): Promise<string | undefined> {
  const { rows } = await client.query("SELECT announcement FROM splitcache_outbox WHERE id = $1", [id]);
  return (rows as { readonly announcement: string }[])[0]?.announcement;
}

/** Deletes announced rows if the epoch of their OK is registered. Returns whether it still is. */
export async function deleteRows(client: Queryable, ids: readonly string[], epoch: string): Promise<boolean> {
  await client.query(
    "DELETE FROM splitcache_outbox WHERE id = ANY($1) AND (SELECT epoch FROM splitcache_state) = $2",
    [ids, epoch],
  );
  const { rows } = await client.query("SELECT epoch FROM splitcache_state");
  return (rows as { readonly epoch: string }[])[0]?.epoch === epoch;
}

/**
 * Registers an epoch in place of the epoch that this poll showed, unless it was superseded before. Records the
 * generation of the database with it. `client` is not in a transaction.
 */
export async function registerEpoch(client: Queryable, epoch: string, replaced: Poll): Promise<boolean> {
  await client.query("BEGIN");
  try {
    const { rowCount } = await client.query(
      `UPDATE splitcache_state SET epoch = $1, generation = $2 WHERE epoch = $3
          AND NOT EXISTS (SELECT 1 FROM splitcache_superseded_epochs WHERE epoch = $1)`,
      [epoch, replaced.generation, replaced.epoch],
    );
    const isRegistered = rowCount === 1;
    if (isRegistered && replaced.epoch !== "" && replaced.epoch !== epoch) {
      await client.query(
        `INSERT INTO splitcache_superseded_epochs
         SELECT $1, coalesce(max(superseded_at), 0) + 1 FROM splitcache_superseded_epochs`,
        [replaced.epoch],
      );
      await client.query(
        `DELETE FROM splitcache_superseded_epochs
          WHERE superseded_at <= (SELECT max(superseded_at) FROM splitcache_superseded_epochs) - $1`,
        [SUPERSEDED_MAX],
      );
    }
    await client.query("COMMIT");
    return isRegistered;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/** Shows the other processes that the database and the epoch are alive. */
export async function raiseCounters(
  client: Queryable,
  raised: { readonly counter: boolean; readonly heard: boolean },
  epoch: string,
): Promise<void> {
  if (!raised.counter && !raised.heard) return;
  await client.query(
    "UPDATE splitcache_state SET counter = counter + $1, heard = heard + $2 WHERE epoch = $3",
    [Number(raised.counter), Number(raised.heard), epoch],
  );
}
