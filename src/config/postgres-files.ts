import type { ConnectionOptions } from "node:tls";
import type { PostgresSettings } from "./postgres-url.js";
import { checkCertificates, checkPrivateKey, readSecretFiles } from "./secret-files.js";
import type { Problem } from "./settings.js";

/** The contents of the files that the settings name, as a connection needs them. */
export interface PostgresSecrets {
  readonly password: string | undefined;
  /** Undefined: without TLS. */
  readonly tls: ConnectionOptions | undefined;
}

/** Reads and checks the password file and the certificates. Reports every problem with its place. */
export async function readPostgresFiles(
  settings: PostgresSettings,
  passwordFile: { readonly place: string; readonly path: string | undefined },
): Promise<{ readonly secrets: PostgresSecrets; readonly problems: readonly Problem[] }> {
  const { texts, problems } = await readSecretFiles({
    password: passwordFile,
    ca: { place: "sslrootcert", path: settings.sslRootCertFile, check: checkCertificates },
    cert: { place: "sslcert", path: settings.sslCertFile, check: checkCertificates },
    key: { place: "sslkey", path: settings.sslKeyFile, check: checkPrivateKey },
  });
  const { password, ...files } = texts;
  const secrets = { password: password ?? settings.password, tls: tlsOptions(settings, files) };
  return { secrets, problems };
}

/**
 * What each mode verifies, as in libpq: `require` nothing, unless authorities are given;
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
    ...(files as ConnectionOptions),
    minVersion: "TLSv1.2",
    rejectUnauthorized: !verifiesNothing,
    ...(sslMode !== "verify-full" && { checkServerIdentity: () => undefined }),
  };
}
