import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { isLocal, parseListenAddress } from "../../config/address.js";
import { CliError, ExitCode } from "../exit-code.js";
import { onOff, text, type ValuesOf } from "../flags.js";
import type { CliIo } from "../io/cli-io.js";

/** How a command authenticates itself and verifies the sidecar. */
export interface ClientSecurity {
  /** Undefined: cleartext. */
  readonly tls: ClientTls | undefined;
  /** Reads the token file, for each call: the token may be replaced while a command runs. */
  readonly token: (() => string) | undefined;
}

/** The texts of PEM files. */
export interface ClientTls {
  /** Undefined: the authorities that Node.js trusts. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** The name that the certificate must have, in place of the address's host. */
  readonly serverName: string | undefined;
}

/** Not SPLITCACHE_TLS_CERT_FILE: that variable names the certificate of `serve`. */
const PREFIX = "SPLITCACHE_CLIENT_";

const flag = (placeholder: string, variable: string, help: string) =>
  text(placeholder, help, { note: `env: ${PREFIX}${variable}` });

/** The flags of TLS and of the token. */
export const securityFlags = {
  tls: onOff(`Uses TLS, and trusts the authorities that Node.js trusts (env: ${PREFIX}TLS=true).`),
  tlsCaFile: flag("<path>", "TLS_CA_FILE", "Uses TLS, and trusts the authorities in this PEM file."),
  tlsCertFile: flag("<path>", "TLS_CERT_FILE", "Uses TLS with the client certificate in this PEM file."),
  tlsKeyFile: flag(
    "<path>",
    "TLS_KEY_FILE",
    "Reads the private key of the client certificate from this PEM file.",
  ),
  tlsServerName: flag(
    "<name>",
    "TLS_SERVER_NAME",
    "Uses TLS, and expects this name in the sidecar's certificate.",
  ),
  tokenFile: flag("<path>", "TOKEN_FILE", "Sends the token in this file."),
};

/** Reads the files of the flags or the environment. Throws a CliError that names the file. */
export function securityOf(flags: ValuesOf<typeof securityFlags>, env: CliIo["env"]): ClientSecurity {
  // An empty variable counts as not set.
  const given = (flag: string | undefined, variable: string) => flag ?? (env[PREFIX + variable] || undefined);
  const caFile = given(flags.tlsCaFile, "TLS_CA_FILE");
  const certFile = given(flags.tlsCertFile, "TLS_CERT_FILE");
  const keyFile = given(flags.tlsKeyFile, "TLS_KEY_FILE");
  const serverName = given(flags.tlsServerName, "TLS_SERVER_NAME");
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new CliError(ExitCode.usage, "--tls-cert-file and --tls-key-file: give both or neither");
  }
  const usesTls =
    flags.tls ||
    isTrue(env, `${PREFIX}TLS`) ||
    [caFile, certFile, serverName].some((value) => value !== undefined);
  const tls: ClientTls = {
    ca: read("--tls-ca-file", caFile),
    cert: read("--tls-cert-file", certFile),
    key: read("--tls-key-file", keyFile),
    serverName,
  };
  const tokenFile = given(flags.tokenFile, "TOKEN_FILE");
  const token =
    tokenFile === undefined ? undefined : () => tokenOf(read("--token-file", tokenFile), tokenFile);
  // An invalid file is an error before the first call.
  token?.();
  return { tls: usesTls ? tls : undefined, token };
}

/** Throws if calls to this address would send a token over a network in cleartext. */
export function checkTokenIsSafe({ tls, token }: ClientSecurity, address: string): void {
  if (token === undefined || tls !== undefined) return;
  const parsed = parseListenAddress(address);
  if (parsed !== undefined && (isLocal(parsed) || (parsed.kind === "tcp" && parsed.host === "localhost")))
    return;
  throw new CliError(
    ExitCode.usage,
    `--token-file: the token would cross the network to ${address} in cleartext; use --tls or --tls-ca-file`,
  );
}

function isTrue(env: CliIo["env"], variable: string): boolean {
  const value = env[variable] || "false";
  if (value === "true" || value === "false") return value === "true";
  throw new CliError(ExitCode.usage, `${variable}=${value}: expected true or false`);
}

/** The options of node:tls; what is undefined is left to its defaults. */
export function tlsOptionsOf({ ca, cert, key, serverName }: ClientTls): ConnectionOptions {
  const given = Object.entries({ ca, cert, key, servername: serverName });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

function read(option: string, path: string): string;
function read(option: string, path: string | undefined): string | undefined;
function read(option: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.usage, `${option} cannot be read: ${problem}`, error);
  }
}

function tokenOf(content: string, path: string): string {
  const token = content.replace(/\r?\n$/, "");
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CliError(
    ExitCode.usage,
    `--token-file ${path}: must hold one token, without spaces and further lines`,
  );
}
