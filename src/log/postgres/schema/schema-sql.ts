/** The version of the tables. A sidecar refuses any other version: it could not keep the rules on them. */
export const SCHEMA_VERSION = 1;

export const DEFAULT_SCHEMA = "splitcache";

/** A schema's name needs no quotes: it is also the name of the channel of notifications. */
export const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/;

/** The key of the lock under which the tables are made: the letters "split". */
export const SCHEMA_LOCK_KEY = 0x73706c6974;

/**
 * The SQL that makes the tables, as one transaction; running it again changes nothing.
 *
 * Homeserver names are bytes: the database's encoding may lack their characters. A change
 * also carries its epoch, so that the rows of an old epoch can never be read as rows of
 * a new one, and need not be removed in the transaction that begins it. Rows that change
 * often have room beside them (`fillfactor`), so that updates stay on their page and
 * touch no index.
 */
export function schemaSql(schema: string): string {
  const s = checkedName(schema);
  return `select pg_catalog.pg_advisory_xact_lock(${SCHEMA_LOCK_KEY});
create schema if not exists ${s};

-- The identity of this run of the server: it changes at each start, promotion and restore.
create or replace function ${s}.incarnation() returns text language sql stable as $$
  select (select system_identifier from pg_catalog.pg_control_system())::text
    || '/' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8)
    || '/' || (extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint::text
$$;

-- One row: the recorded incarnation, and whether leases of an earlier one are known to be over. Every
-- role of a database may send notifications: the key shows which come from sidecars.
create table if not exists ${s}.cluster (
  one boolean primary key default true check (one),
  version integer not null,
  incarnation text not null,
  settled boolean not null,
  key bytea not null default pg_catalog.sha256(
    pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) || pg_catalog.uuid_send(pg_catalog.gen_random_uuid()))
);

-- The end of each homeserver's log. "weight" counts the event IDs of the epoch so far, "at" is
-- when it was last appended to or followed.
create table if not exists ${s}.head (
  homeserver bytea primary key,
  epoch bytea not null check (length(epoch) = 16),
  sequence bigint not null,
  weight bigint not null,
  reason text not null,
  at timestamptz not null default pg_catalog.now()
) with (fillfactor = 10);

create table if not exists ${s}.change (
  homeserver bytea not null,
  epoch bytea not null,
  sequence bigint not null,
  weight bigint not null,
  at timestamptz not null default pg_catalog.now(),
  change bytea not null,
  primary key (homeserver, epoch, sequence)
);

-- The sidecars. A counter that stands still shows that its sidecar serves nothing.
create table if not exists ${s}.member (
  id text primary key,
  counter bigint not null,
  joined_at timestamptz not null default pg_catalog.now()
) with (fillfactor = 10);

-- What each sidecar has applied of each homeserver's log. "enrolment" counts how often the
-- sidecar has enrolled, so that a late statement leaves the row of a later enrolment alone.
create table if not exists ${s}.applied (
  homeserver bytea not null,
  member text not null references ${s}.member on delete cascade,
  epoch bytea not null,
  sequence bigint not null,
  enrolment bigint not null default 0,
  primary key (homeserver, member)
) with (fillfactor = 10);
create index if not exists applied_member on ${s}.applied (member);

insert into ${s}.cluster (version, incarnation, settled)
  values (${SCHEMA_VERSION}, ${s}.incarnation(), false) on conflict do nothing`;
}

/**
 * The SQL that lets a role use the tables and nothing else. The three functions of
 * pg_catalog that tell incarnations apart may be called by every role, unless an operator
 * has revoked that.
 */
export function grantSql(schema: string, role: string): string {
  const s = checkedName(schema);
  const r = `"${role.replaceAll('"', '""')}"`;
  return `grant usage on schema ${s} to ${r};
grant execute on function ${s}.incarnation() to ${r};
grant select, insert, update, delete on all tables in schema ${s} to ${r}`;
}

function checkedName(schema: string): string {
  if (!SCHEMA_NAME.test(schema)) throw new Error(`not a schema name without quotes: ${schema}`);
  return schema;
}
