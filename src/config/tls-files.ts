import { X509Certificate } from "node:crypto";
import { type Config, flagOf } from "./options.js";
import { checkCertificates, checkPrivateKey, readSecretFiles } from "./secret-files.js";
import type { Problem } from "./settings.js";

/** What a TLS server needs, read from files. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  /** The authorities of client certificates; undefined: clients present none. */
  readonly clientCa: string | undefined;
  /** Milliseconds since 1970: when the server certificate expires. */
  readonly expiresMs: number;
}

type TlsConfig = Pick<Config, "tlsCertFile" | "tlsKeyFile" | "tlsClientCaFile">;

/** The paths of the files that `readTlsFiles` reads. */
export function tlsPaths({ tlsCertFile, tlsKeyFile, tlsClientCaFile }: TlsConfig): readonly string[] {
  return [tlsCertFile, tlsKeyFile, tlsClientCaFile].filter((path) => path !== undefined);
}

/**
 * Reads and checks the certificate, its key and the authorities of clients. Every problem is
 * reported, with its place. `material` is undefined if there is one, or without TLS.
 */
export async function readTlsFiles(
  config: TlsConfig,
  nowMs: number,
): Promise<{ readonly material: TlsMaterial | undefined; readonly problems: readonly Problem[] }> {
  const { texts, problems } = await readSecretFiles({
    cert: {
      place: flagOf("tlsCertFile"),
      path: config.tlsCertFile,
      check: (text) => checkServerCertificate(text, nowMs),
    },
    key: { place: flagOf("tlsKeyFile"), path: config.tlsKeyFile, check: checkPrivateKey },
    clientCa: { place: flagOf("tlsClientCaFile"), path: config.tlsClientCaFile, check: checkCertificates },
  });
  const { cert, key, clientCa } = texts;
  if (problems.length > 0 || cert === undefined || key === undefined) {
    return { material: undefined, problems };
  }
  return { material: { cert, key, clientCa, expiresMs: expiryOf(cert) }, problems };
}

function checkServerCertificate(text: string, nowMs: number): void {
  checkCertificates(text);
  const expiresMs = expiryOf(text);
  if (expiresMs <= nowMs) throw new Error(`has expired at ${new Date(expiresMs).toISOString()}; renew it`);
  const startsMs = Date.parse(new X509Certificate(text).validFrom);
  if (startsMs > nowMs)
    throw new Error(`is valid from ${new Date(startsMs).toISOString()} on; check the clock`);
}

function expiryOf(cert: string): number {
  return Date.parse(new X509Certificate(cert).validTo);
}
