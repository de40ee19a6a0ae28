/** Why an operation on the log failed: a closed set, so that a metric can count it. */
export const FAILURE_CAUSES = [
  "unreachable",
  "authentication",
  "tls",
  "database",
  "privileges",
  "schema",
  "standby",
  "notifications",
  "connections",
  "diskFull",
  "lock",
  "statementTimeout",
  "noAnswer",
  "backwards",
  "other",
] as const;

export type FailureCause = (typeof FAILURE_CAUSES)[number];

/** A failure detected by this code, with a cause that no server error has. */
export class LogFailure extends Error {
  readonly failureCause: FailureCause;

  constructor(failureCause: FailureCause, message: string) {
    super(message);
    this.name = "LogFailure";
    this.failureCause = failureCause;
  }
}

/** The cause of an error of `pg`, of a socket, of TLS, or of this code. */
export function causeOf(error: unknown): FailureCause {
  if (error instanceof LogFailure) return error.failureCause;
  if (!(error instanceof Error)) return "other";
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const known = BY_CODE.get(code) ?? BY_CLASS.get(code.length === 5 ? code.slice(0, 2) : "");
  if (known !== undefined) return known;
  if (TLS_CODE.test(code)) return "tls";
  if (SOCKET_CODE.test(code)) return "unreachable";
  if (/SSL|TLS/.test(error.message)) return "tls";
  if (/SASL|password/i.test(error.message)) return "authentication";
  if (/terminated|timeout expired/i.test(error.message)) return "unreachable";
  return "other";
}

/** SQLSTATEs, see PostgreSQL's manual, appendix A. */
const BY_CODE: ReadonlyMap<string, FailureCause> = new Map([
  ["28000", "authentication"],
  ["28P01", "authentication"],
  ["3D000", "database"],
  ["42501", "privileges"],
  ["3F000", "schema"],
  ["42P01", "schema"],
  ["42703", "schema"],
  ["42883", "schema"],
  ["55000", "standby"],
  ["25006", "standby"],
  ["53100", "diskFull"],
  ["58030", "diskFull"],
  ["53300", "connections"],
  ["55P03", "lock"],
  ["40P01", "lock"],
  ["57014", "statementTimeout"],
  ["57P01", "unreachable"],
  ["57P02", "unreachable"],
  ["57P03", "unreachable"],
]);

/** Classes of SQLSTATEs: connection exceptions, and the roles that may not connect. */
const BY_CLASS: ReadonlyMap<string, FailureCause> = new Map([
  ["08", "unreachable"],
  ["28", "authentication"],
]);

const TLS_CODE = /CERT|^ERR_SSL|^ERR_TLS|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|^EPROTO$/;
const SOCKET_CODE = /^E(CONN|HOST|NET|PIPE|TIMEDOUT|NOENT|NOTFOUND|AI_|ACCES|ADDR)/;

/** What happened, and the remedy. Neither contains a password. */
export function describeFailure(cause: FailureCause, error: unknown, target: string): string {
  const detail = error instanceof Error ? error.message : String(error);
  return `PostgreSQL log ${target}: ${SENTENCES[cause]} (${detail})`;
}

const SENTENCES: Readonly<Record<FailureCause, string>> = {
  unreachable: "the server does not answer; check address, network and server. It is retried",
  authentication: "the server refuses user or password; check both, and pg_hba.conf",
  tls: "no TLS connection that verifies; check the server's certificate, sslrootcert and sslmode",
  database: "the database does not exist; create it or name another one",
  privileges:
    "the role lacks privileges; run the SQL of `splitcache log-schema --grant-to ROLE` as the schema's owner",
  schema: "the schema is missing or of another version; see `splitcache log-schema`",
  standby: "the server is a standby and takes no changes; give the address of the primary",
  notifications:
    "a notification did not arrive; connect to PostgreSQL directly: a pooler in transaction mode loses LISTEN",
  connections:
    "the server has no free connection slot; raise max_connections: each sidecar needs two connections",
  diskFull: "the server cannot write; free disk space",
  lock: "another session holds a lock for too long; find it in pg_stat_activity and pg_locks",
  statementTimeout: "a statement took too long on the server; check its load",
  noAnswer: "the server did not answer in time; the connection is replaced",
  backwards:
    "a homeserver's log went backwards: the database was replaced by an older state; a new epoch begins. Restart PostgreSQL after each restore",
  other: "an operation failed",
};
