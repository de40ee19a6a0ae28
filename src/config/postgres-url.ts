import { parseTcpAddress } from "./address.js";

/** How far TLS protects the connection; there is no mode that falls back to none. */
export type SslMode = "disable" | "require" | "verify-ca" | "verify-full";

/** The address of PostgreSQL and the parameters of a connection. Files are named, not read. */
export interface PostgresSettings {
  readonly host: string;
  readonly port: number;
  /** The directory of the server's Unix socket; then the host is not used. */
  readonly socketDirectory: string | undefined;
  readonly database: string;
  readonly user: string;
  /** From the environment only. */
  readonly password: string | undefined;
  readonly sslMode: SslMode;
  /** Certificates of the trusted authorities; undefined: the authorities that Node.js trusts. */
  readonly sslRootCertFile: string | undefined;
  readonly sslCertFile: string | undefined;
  readonly sslKeyFile: string | undefined;
}

export type ParsedPostgresUrl =
  | { readonly settings: PostgresSettings; readonly problem?: never }
  | { readonly settings?: never; readonly problem: string };

/** Parameters of the URL, with the variables of libpq for them. */
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
const ONE_HOST = "must name one host, the primary";
/** Linux has room for 107 bytes with `/.s.PGSQL.65535`. */
const SOCKET_DIRECTORY_BYTES_MAX = 88;

/**
 * Reads `postgres://user@host:port/database?sslmode=…` as libpq does. PG* variables supply
 * missing parameters. Differences: a password is refused, since every user of the machine
 * sees the command line; only one host; `sslmode` may not fall back to a connection without
 * TLS, and its default is `verify-full`, except for Unix sockets and loopback.
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

/** The URL of these settings, without a password, for people. */
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

/** The parameters of the URL, or the problem with it. */
function readUrl(text: string): Map<Parameter, string> | string {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (match === null) return "must be postgres://user@host:port/database";
  const [, login, place = "", path, query = ""] = match;
  const given = new Map<Parameter, string>();
  if (login?.includes(":")) {
    return "must not contain a password, which other users of the machine would see; use --log-password-file or PGPASSWORD";
  }
  if (place.includes(",")) return ONE_HOST;
  const address = placeOf(place);
  // Not shown: it may be a password.
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
    if (name === "password") return "must not contain a password; use --log-password-file or PGPASSWORD";
    if (!(name in PARAMETERS)) {
      return `has an unknown parameter; valid parameters are ${Object.keys(PARAMETERS).join(", ")}`;
    }
    if (given.has(name as Parameter)) return `has the parameter ${name} twice`;
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
  const isSocket = host === undefined || host.startsWith("/");
  const isTooLong = (text: string | undefined, max: number) => Buffer.byteLength(text ?? "") > max;
  const isPort = (text: string) => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
  const checks: readonly (readonly [isWrong: boolean, problem: string])[] = [
    [user === undefined, "names no user; use postgres://user@host/database or PGUSER"],
    [isTooLong(user, NAME_BYTES_MAX), `has a user of more than ${NAME_BYTES_MAX} bytes`],
    [isTooLong(dbname, NAME_BYTES_MAX), `has a database name of more than ${NAME_BYTES_MAX} bytes`],
    [Object.values(values).some((value) => value?.includes("\0")), "contains a zero byte"],
    [host?.includes(",") === true, ONE_HOST],
    [!isSocket && /[\s/@?#]/.test(host), "has no valid host"],
    [
      isSocket && isTooLong(host, SOCKET_DIRECTORY_BYTES_MAX),
      `has a socket directory of more than ${SOCKET_DIRECTORY_BYTES_MAX} bytes`,
    ],
    [port !== undefined && !isPort(port), "has a port that is not a number from 1 to 65535"],
    [
      sslmode === "allow" || sslmode === "prefer",
      `has sslmode=${sslmode}, which may connect without TLS; use disable or verify-full`,
    ],
    [
      sslmode !== undefined && !SSL_MODES.includes(sslmode),
      `has an sslmode that is not one of ${SSL_MODES.join(", ")}`,
    ],
    [
      isSocket && sslmode !== undefined && sslmode !== "disable",
      "names a Unix socket, on which PostgreSQL has no TLS; remove sslmode",
    ],
    [
      sslmode === "disable" && (sslrootcert ?? sslcert ?? sslkey) !== undefined,
      "names certificates although sslmode is disable",
    ],
    [(sslcert === undefined) !== (sslkey === undefined), "requires both sslcert and sslkey, or neither"],
  ];
  return checks.find(([isWrong]) => isWrong)?.[1];
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
