import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";

/** How a command shows the sidecar who it is, and makes sure of the sidecar. */
export interface ClientSecurity {
  /** Undefined: cleartext. */
  readonly tls: ClientTls | undefined;
  readonly token: string | undefined;
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

export interface SecurityFlags {
  readonly tlsCaFile?: string;
  readonly tlsCertFile?: string;
  readonly tlsKeyFile?: string;
  readonly tlsServerName?: string;
  readonly tokenFile?: string;
}

const OPTIONS: readonly [flag: keyof SecurityFlags, form: string, variable: string, help: string][] = [
  ["tlsCaFile", "--tls-ca-file <path>", "TLS_CA_FILE", "use TLS, and trust the authorities in this PEM file"],
  ["tlsCertFile", "--tls-cert-file <path>", "TLS_CERT_FILE", "use TLS with this client certificate, in PEM"],
  [
    "tlsKeyFile",
    "--tls-key-file <path>",
    "TLS_KEY_FILE",
    "the private key of the client certificate, in PEM",
  ],
  [
    "tlsServerName",
    "--tls-server-name <name>",
    "TLS_SERVER_NAME",
    "use TLS, and expect this name in the certificate",
  ],
  ["tokenFile", "--token-file <path>", "TOKEN_FILE", "send the token in this file"],
];

/** Not SPLITCACHE_TLS_CERT_FILE: that is the certificate of `serve`. */
const PREFIX = "SPLITCACHE_CLIENT_";

/** Adds the options of TLS and of the token. */
export function addSecurityOptions(command: Command): Command {
  for (const [, form, variable, help] of OPTIONS) {
    command.addOption(new Option(form, `${help} (env: ${PREFIX}${variable})`));
  }
  return command;
}

/** Reads the files of the flags or the environment. Throws a CliError that names the file. */
export function securityOf(flags: SecurityFlags, { env }: Pick<CliIo, "env">): ClientSecurity {
  const given: Partial<Record<keyof SecurityFlags, string>> = {};
  for (const [flag, , variable] of OPTIONS) {
    // An empty variable counts as not set.
    const value = flags[flag] ?? (env[PREFIX + variable] || undefined);
    if (value !== undefined) given[flag] = value;
  }
  const { tlsCaFile, tlsCertFile, tlsKeyFile, tlsServerName, tokenFile } = given;
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
    throw new CliError(ExitCode.usage, "--tls-cert-file and --tls-key-file: give both or neither");
  }
  const usesTls = [tlsCaFile, tlsCertFile, tlsServerName].some((value) => value !== undefined);
  return {
    tls: usesTls
      ? {
          ca: read("--tls-ca-file", tlsCaFile),
          cert: read("--tls-cert-file", tlsCertFile),
          key: read("--tls-key-file", tlsKeyFile),
          serverName: tlsServerName,
        }
      : undefined,
    token: tokenOf(read("--token-file", tokenFile), tokenFile),
  };
}

function read(option: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.usage, `${option} cannot be read: ${problem}`, error);
  }
}

function tokenOf(text: string | undefined, path: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const token = text.replace(/\r?\n$/, "");
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CliError(
    ExitCode.usage,
    `--token-file ${path}: must hold one token, without spaces and further lines`,
  );
}
