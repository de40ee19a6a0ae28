import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type ConnectionOptions, createSecureContext } from "node:tls";
import type { PostgresSettings } from "./postgres-url.js";
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
  const mistakes: Mistake[] = [];
  const read = async (place: string, path: string | undefined, check: (text: string) => void) => {
    if (path === undefined) return undefined;
    try {
      const text = await readText(path);
      check(text);
      return text;
    } catch (error) {
      mistakes.push({ place: `${place} ${path}`, problem: messageOf(error) });
      return undefined;
    }
  };
  const password = await read(passwordFile?.place ?? "", passwordFile?.path, () => {});
  const ca = await read("sslrootcert", settings.sslRootCertFile, checkCertificates);
  const cert = await read("sslcert", settings.sslCertFile, checkCertificates);
  const key = await read("sslkey", settings.sslKeyFile, (text) => void createPrivateKey(text));
  if (cert !== undefined && key !== undefined) {
    const problem = problemOfPair(cert, key);
    if (problem !== undefined) mistakes.push({ place: "sslcert and sslkey", problem });
  }
  const tls = tlsOptions(settings, { ca, cert, key });
  return { secrets: { password: password ?? settings.password, tls }, mistakes };
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

async function readText(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new Error(`cannot be read: ${messageOf(error)}`);
  });
  const withoutLineEnd = text.replace(/\r?\n$/, "");
  if (withoutLineEnd === "") throw new Error("is empty");
  return withoutLineEnd;
}

/** TLS passes over what it cannot read of a file of authorities, and would trust nobody. */
function checkCertificates(text: string): void {
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new Error("holds no certificate in PEM");
  for (const [index, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw new Error(`certificate ${index + 1} of ${certificates.length} is broken: ${messageOf(error)}`);
    }
  }
}

/** From its first line to its last, or to the end of the text if that was cut off. */
const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?(?:-----END (?:X509 |TRUSTED )?CERTIFICATE-----|$)/gs;

/** TLS takes a certificate with the key of another one if they are of different kinds. */
function problemOfPair(cert: string, key: string): string | undefined {
  try {
    const matches = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
    if (!matches) return "the key does not belong to the certificate";
    createSecureContext({ cert, key });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
