import { LogFailure } from "./failures.js";
import type { PreparedSession } from "./link.js";
import type { PostgresLimits } from "./postgres-limits.js";
import { ensureSchema } from "./schema.js";
import { openSession, type Session } from "./session.js";
import type { PostgresTarget } from "./target.js";

export interface LogSessionOptions {
  readonly target: PostgresTarget;
  readonly limits: PostgresLimits;
  readonly schema: string;
  readonly applicationName: string;
  /** Random text, to recognise the notification that tests the connection. */
  readonly nonce: string;
  /** Undefined: the session does not listen. */
  readonly onNotification: ((payload: string) => void) | undefined;
  onEnd(error: Error): void;
}

/** Opens a session on a primary whose schema fits; a listening one has received a notification. */
export async function openLogSession(options: LogSessionOptions): Promise<PreparedSession> {
  const { schema, onNotification, onEnd, nonce } = options;
  const test = `test ${nonce}`;
  let onTest = (): void => {};
  const session = await openSession({
    ...options,
    onNotification: (payload) => (payload === test ? onTest() : onNotification?.(payload)),
    onEnd,
  });
  try {
    const cluster = await readCluster(session, schema);
    await session.execute(PLANNING);
    // A report or a renewal that a crash loses is sent again; anything else must last.
    await session.execute(`set synchronous_commit = ${onNotification === undefined ? "on" : "off"}`);
    if (onNotification !== undefined) {
      await session.execute(`listen ${schema}`);
      const arrived = new Promise<void>((resolve) => {
        onTest = resolve;
      });
      await session.run({ name: "test", text: "select pg_catalog.pg_notify($1, $2)" }, [schema, test]);
      await withinLimit(arrived, options.limits.answerMs);
    }
    return { session, ...cluster };
  } catch (error) {
    session.destroy();
    throw error;
  }
}

/**
 * Every statement finds few rows by their keys, so it is planned once and never scans a
 * table, even if the statistics still say that it is empty. Planning each time takes longer
 * than running.
 */
const PLANNING = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off";

/** Fails on a standby, which has no position to write at. */
async function readCluster(session: Session, schema: string): Promise<ClusterRow> {
  const [server] = await session.run<{ standby: boolean }>(
    { name: "standby", text: "select pg_catalog.pg_is_in_recovery() as standby" },
    [],
  );
  if (server?.standby !== false) throw new LogFailure("standby", "the server is in recovery");
  await ensureSchema(session, schema);
  const [row] = await session.run<ClusterRow>(
    { name: "cluster", text: `select ${schema}.incarnation() as incarnation, key from ${schema}.cluster` },
    [],
  );
  if (row === undefined) throw new LogFailure("schema", "the server's incarnation cannot be read");
  return row;
}

interface ClusterRow {
  readonly incarnation: string;
  readonly key: Buffer;
}

async function withinLimit(arrived: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new LogFailure("notifications", `none arrived within ${limitMs} ms`));
    }, limitMs);
  });
  try {
    await Promise.race([arrived, late]);
  } finally {
    clearTimeout(timer);
  }
}
