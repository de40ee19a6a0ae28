import type { ConnectionOptions } from "node:tls";
import type { PostgresSettings } from "./postgres-url.js";
import { checkCertificates, checkPrivateKey, SecretFiles } from "./secret-files.js";
import type { Mistake } from "./settings.js";

/** The contents of the files that the settings name, as a connection needs them. */
export interface PostgresSecrets {
  readonly password: string | undefined;
  /** Undefined: without TLS. */
  readonly tls: ConnectionOptions | undefined;
}

/**
 * Reads and checks the password file and the certificates, so that a wrong file is an error at
 * the start rather than a connection that never succeeds. Every mistake is reported, with
 * its place.
 */
export async function readPostgresFiles(
  settings: PostgresSettings,
  passwordFile: { readonly place: string; readonly path: string } | undefined,
): Promise<{ readonly secrets: PostgresSecrets; readonly mistakes: readonly Mistake[] }> {
  const files = new SecretFiles();
  const password = await files.read(passwordFile?.place ?? "", passwordFile?.path);
  const ca = await files.read("sslrootcert", settings.sslRootCertFile, checkCertificates);
  const cert = await files.read("sslcert", settings.sslCertFile, checkCertificates);
  const key = await files.read("sslkey", settings.sslKeyFile, checkPrivateKey);
  files.checkPair("sslcert and sslkey", cert, key);
  const tls = tlsOptions(settings, { ca, cert, key });
  return { secrets: { password: password ?? settings.password, tls }, mistakes: files.mistakes };
}

/**
 * What each mode verifies, as libpq has it: `require` nothing, unless authorities are given;
 * `verify-ca` that a trusted authority signed the certificate; `verify-full` also that the
 * certificate names the host.
 */
function tlsOptions(
  { sslMode, sslRootCertFile }: PostgresSettings,
  files: Readonly<Record<"ca" | "cert" | "key", string | undefined>>,
): ConnectionOptions | undefined {
  if (sslMode === "disable") return undefined;
  const verifiesNothing = sslMode === "require" && sslRootCertFile === undefined;
  return {
    ...Object.fromEntries(Object.entries(files).filter(([, text]) => text !== undefined)),
    minVersion: "TLSv1.2",
    rejectUnauthorized: !verifiesNothing,
    ...(sslMode !== "verify-full" && { checkServerIdentity: () => undefined }),
  };
}
