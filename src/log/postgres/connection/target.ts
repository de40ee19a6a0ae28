import type { ConnectionOptions } from "node:tls";

/** Where the database is, and as whom to connect. */
export interface PostgresTarget {
  readonly host: string;
  readonly port: number;
  /** The directory of the server's Unix socket; the host is not used then. */
  readonly socketDirectory: string | undefined;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  /** Undefined: without TLS. */
  readonly tls: ConnectionOptions | undefined;
}

/** The target as logs show it: never with a password. */
export function describeTarget(target: PostgresTarget): string {
  const { socketDirectory, host, port, database, user } = target;
  const place = socketDirectory ?? (host.includes(":") ? `[${host}]` : host);
  return `${user}@${place}:${port}/${database}`;
}
