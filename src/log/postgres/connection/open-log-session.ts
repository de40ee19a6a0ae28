import { LogFailure } from "../failures/failures.js";
import type { PostgresLimits } from "../postgres-limits.js";
import { ensureSchema, readVersion } from "../schema/schema.js";
import type { PreparedSession } from "./postgres-link.js";
import type { PostgresTarget } from "./session.js";
import { limitsSql, openSession, type Session } from "./session.js";

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
    // Creating the tables may take long. The other statements are trivial and hang only with the connection.
    const version = await withinLimit(begin(session, options), options.limits.answerMs, "noAnswer");
    await ensureSchema(session, schema, version);
    return await withinLimit(prepare(session), options.limits.answerMs, "noAnswer");
  } catch (error) {
    session.destroy();
    throw error;
  }

  async function prepare(opened: Session): Promise<PreparedSession> {
    const cluster = await readCluster(opened, schema);
    if (onNotification !== undefined) {
      await opened.set(`listen ${schema}`);
      const arrived = new Promise<void>((resolve) => {
        onTest = resolve;
      });
      await opened.run({ name: "test", text: "select pg_catalog.pg_notify($1, $2)" }, [schema, test]);
      await withinLimit(arrived, options.limits.notificationMs, "notifications");
    }
    return { session: opened, ...cluster };
  }
}

/** Sets the session's parameters and reads the schema's version. Fails on a standby, which has no write position. */
async function begin(
  session: Session,
  { limits, schema, onNotification }: LogSessionOptions,
): Promise<number | undefined> {
  await session.set(
    `${limitsSql(limits.statementMs, limits.lockMs)};
      set idle_in_transaction_session_timeout = ${limits.longAnswerMs}`,
  );
  // A report that was lost in a crash is sent again; all other writes must be durable.
  await session.set(`${PLANNING}; set synchronous_commit = ${onNotification === undefined ? "on" : "off"}`);
  const [server] = await session.run<{ standby: boolean }>(
    { name: "standby", text: "select pg_catalog.pg_is_in_recovery() as standby" },
    [],
  );
  if (server?.standby !== false) throw new LogFailure("standby", "the server is in recovery");
  return readVersion(session, schema);
}

/**
 * Every statement finds few rows by their keys, so it is planned once and never scans a
 * table, even if the statistics still say that it is empty. Planning each time takes longer
 * than running.
 */
const PLANNING = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off";

async function readCluster(session: Session, schema: string): Promise<ClusterRow> {
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

async function withinLimit<T>(done: Promise<T>, limitMs: number, cause: "noAnswer" | "notifications") {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new LogFailure(
          cause,
          cause === "noAnswer" ? `not ready within ${limitMs} ms` : `none arrived within ${limitMs} ms`,
        ),
      );
    }, limitMs);
  });
  try {
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}
