import { parseTcpAddress } from "./address.js";

/** How far TLS protects the connection; there is no mode that falls back to none. */
export type SslMode = "disable" | "require" | "verify-ca" | "verify-full";

/** Where PostgreSQL is, and how to connect; files are named, not read. */
export interface PostgresSettings {
  readonly host: string;
  readonly port: number;
  /** The directory of the server's Unix socket; the host is not used then. */
  readonly socketDirectory: string | undefined;
  readonly database: string;
  readonly user: string;
  /** From the environment only. */
  readonly password: string | undefined;
  readonly sslMode: SslMode;
  /** Certificates of the authorities that are trusted; undefined: those that Node.js trusts. */
  readonly sslRootCertFile: string | undefined;
  readonly sslCertFile: string | undefined;
  readonly sslKeyFile: string | undefined;
}

export type ParsedPostgresUrl =
  | { readonly settings: PostgresSettings; readonly problem?: never }
  | { readonly settings?: never; readonly problem: string };

/** Parameters of the URL, with the variables of libpq that stand for them. */
const PARAMETERS = {
  host: "PGHOST",
  port: "PGPORT",
  dbname: "PGDATABASE",
  user: "PGUSER",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
} as const;

type Parameter = keyof typeof PARAMETERS;

const PORT_DEFAULT = "5432";
const SOCKET_DIRECTORY_DEFAULT = "/var/run/postgresql";
const SSL_MODES: readonly string[] = ["disable", "require", "verify-ca", "verify-full"];
/** PostgreSQL cuts longer names. */
const NAME_BYTES_MAX = 63;
/** Linux has room for 107 bytes with `/.s.PGSQL.65535`. */
const SOCKET_DIRECTORY_BYTES_MAX = 88;

/**
 * Reads `postgres://user@host:port/database?sslmode=…` as libpq does, with PG* variables
 * for what it leaves out. Differences: a password is refused, since everybody on the
 * machine sees the command line; one host; `sslmode` may not fall back to a connection
 * without TLS, and is `verify-full` by default, except for Unix sockets and loopback.
 */
export function parsePostgresUrl(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): ParsedPostgresUrl {
  const url = readUrl(text);
  if (typeof url === "string") return { problem: url };
  const values = {} as Record<Parameter, string | undefined>;
  for (const [name, variable] of Object.entries(PARAMETERS)) {
    values[name as Parameter] = url.get(name as Parameter) ?? (environment[variable] || undefined);
  }
  const problem = problemOf(values);
  if (problem !== undefined) return { problem };
  const host = values.host ?? SOCKET_DIRECTORY_DEFAULT;
  const isSocket = host.startsWith("/");
  const user = values.user!;
  return {
    settings: {
      host: isSocket ? "localhost" : host,
      port: Number(values.port ?? PORT_DEFAULT),
      socketDirectory: isSocket ? host : undefined,
      database: values.dbname ?? user,
      user,
      password: environment["PGPASSWORD"] || undefined,
      sslMode:
        (values.sslmode as SslMode | undefined) ?? (isSocket || isLoopback(host) ? "disable" : "verify-full"),
      sslRootCertFile: values.sslrootcert === "system" ? undefined : values.sslrootcert,
      sslCertFile: values.sslcert,
      sslKeyFile: values.sslkey,
    },
  };
}

/** The URL that reads as these settings, for people: without a password. */
export function formatPostgresUrl(settings: PostgresSettings): string {
  const { socketDirectory, host, port, user, database, sslMode } = settings;
  const place = socketDirectory === undefined ? (host.includes(":") ? `[${host}]` : host) : "";
  const query = new URLSearchParams({
    ...(socketDirectory !== undefined && { host: socketDirectory, port: String(port) }),
    sslmode: sslMode,
  });
  const address = socketDirectory === undefined ? `${place}:${port}` : "";
  const path = `${encodeURIComponent(user)}@${address}/${encodeURIComponent(database)}`;
  return `postgres://${path}?${query.toString().replaceAll("%2F", "/")}`;
}

/** The parameters that the URL gives, or what is wrong with it. */
function readUrl(text: string): Map<Parameter, string> | string {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (match === null) return "is no URL postgres://user@host:port/database";
  const [, login, place = "", path, query = ""] = match;
  const given = new Map<Parameter, string>();
  if (login?.includes(":")) {
    return "may not hold a password, which others on the machine would see; use a password file or PGPASSWORD";
  }
  if (place.includes(",")) return "may name one host: that of the primary";
  const address = placeOf(place);
  // What stands there may be a password: it is not repeated.
  if (address === undefined) return "has no valid host and port between // and the next /";
  try {
    if (login) given.set("user", decodeURIComponent(login));
    if (address.host) given.set("host", decodeURIComponent(address.host));
    if (address.port) given.set("port", address.port);
    if (path) given.set("dbname", decodeURIComponent(path));
  } catch {
    return "has a % that is not followed by two hexadecimal digits";
  }
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "password") return "may not hold a password; use a password file or PGPASSWORD";
    if (!(name in PARAMETERS)) {
      return `has a parameter that is not known; known are ${Object.keys(PARAMETERS).join(", ")}`;
    }
    if (given.has(name as Parameter)) return `gives ${name} twice`;
    if (value === "") return `has an empty ${name}`;
    given.set(name as Parameter, value);
  }
  return given;
}

function placeOf(text: string): { readonly host: string; readonly port: string | undefined } | undefined {
  if (text === "") return { host: "", port: undefined };
  if (/^%2F/i.test(text)) {
    const [, host = "", port] = /^([^:]*)(?::(\d+))?$/.exec(text) ?? [];
    return host === "" ? undefined : { host, port };
  }
  const hasPort = /:\d+$/.test(text) && !text.endsWith("]");
  const address = parseTcpAddress(hasPort ? text : `${text}:${PORT_DEFAULT}`);
  return address && { host: address.host, port: hasPort ? String(address.port) : undefined };
}

function problemOf(values: Readonly<Record<Parameter, string | undefined>>): string | undefined {
  const { host, port, user, dbname, sslmode, sslrootcert, sslcert, sslkey } = values;
  if (user === undefined) return "names no user: postgres://user@host/database, or PGUSER";
  for (const [name, value] of Object.entries({ user, dbname })) {
    if (value !== undefined && Buffer.byteLength(value) > NAME_BYTES_MAX) {
      return `has a ${name} of more than ${NAME_BYTES_MAX} bytes`;
    }
  }
  if (Object.values(values).some((value) => value?.includes("\0"))) return "holds a zero byte";
  if (host?.includes(",")) return "may name one host: that of the primary";
  if (host !== undefined && !host.startsWith("/") && /[\s/@?#]/.test(host)) return "has no valid host";
  const isSocket = host === undefined || host.startsWith("/");
  if (isSocket && Buffer.byteLength(host ?? "") > SOCKET_DIRECTORY_BYTES_MAX) {
    return `has a socket directory of more than ${SOCKET_DIRECTORY_BYTES_MAX} bytes`;
  }
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    return "has a port that is not a number from 1 to 65535";
  }
  if (sslmode === "allow" || sslmode === "prefer") {
    return `has sslmode=${sslmode}, which may connect without TLS; say disable, or verify-full`;
  }
  if (sslmode !== undefined && !SSL_MODES.includes(sslmode)) {
    return `has an sslmode that is not one of ${SSL_MODES.join(", ")}`;
  }
  if (isSocket && sslmode !== undefined && sslmode !== "disable") {
    return "has a Unix socket, over which PostgreSQL has no TLS; leave sslmode out";
  }
  if (sslmode === "disable" && (sslrootcert ?? sslcert ?? sslkey) !== undefined) {
    return "has certificates although sslmode is disable";
  }
  if ((sslcert === undefined) !== (sslkey === undefined))
    return "needs both of sslcert and sslkey, or neither";
  return undefined;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
