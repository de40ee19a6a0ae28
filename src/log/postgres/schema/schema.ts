import type { Session, Statement } from "../connection/session.js";
import { LogFailure } from "../failures/failures.js";
import { SCHEMA_LOCK_KEY, SCHEMA_VERSION, schemaSql } from "./schema-sql.js";

/** Checks the version of the tables, and creates them if there are none. Rejects if neither is possible. */
export async function ensureSchema(
  session: Session,
  schema: string,
  found: number | undefined,
): Promise<void> {
  const version = found ?? (await create(session, schema));
  if (version === SCHEMA_VERSION) return;
  const remedy =
    version > SCHEMA_VERSION ? "upgrade this sidecar" : "upgrade the schema with `splitcache log-schema`";
  throw new LogFailure(
    "schema",
    `schema "${schema}" has version ${version}, this sidecar needs version ${SCHEMA_VERSION}: ${remedy}`,
  );
}

/** Creates the tables under a lock: fifty sidecars may start at once on an empty database. */
async function create(session: Session, schema: string): Promise<number> {
  await session.execute(`select pg_catalog.pg_advisory_lock(${SCHEMA_LOCK_KEY})`);
  try {
    if ((await readVersion(session, schema)) === undefined) await session.execute(schemaSql(schema));
  } finally {
    if (session.isOpen) await session.execute(`select pg_catalog.pg_advisory_unlock(${SCHEMA_LOCK_KEY})`);
  }
  return (await readVersion(session, schema)) ?? 0;
}

/** Undefined if there is no table. A table without the permission to read is an error. */
export async function readVersion(session: Session, schema: string): Promise<number | undefined> {
  const [found] = await session.run<{ exists: boolean }>(EXISTS, [`${schema}.cluster`]);
  if (found?.exists !== true) return undefined;
  const [row] = await session.run<{ version: number }>(
    { name: "version", text: `select version from ${schema}.cluster` },
    [],
  );
  return row?.version;
}

const EXISTS: Statement = { name: "exists", text: "select pg_catalog.to_regclass($1) is not null as exists" };
