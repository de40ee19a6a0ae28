import { X509Certificate } from "node:crypto";
import { type Config, flagOf } from "./options.js";
import { checkCertificates, checkPrivateKey, SecretFiles } from "./secret-files.js";
import type { Mistake } from "./settings.js";

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
 * Reads and checks the certificate, its key and the authorities of clients. Every mistake is
 * reported, with its place. `material` is undefined if there is one, or without TLS.
 */
export async function readTlsFiles(
  config: TlsConfig,
  nowMs: number,
): Promise<{ readonly material: TlsMaterial | undefined; readonly mistakes: readonly Mistake[] }> {
  const files = new SecretFiles();
  const check = (text: string) => checkServerCertificate(text, nowMs);
  const cert = await files.read(flagOf("tlsCertFile"), config.tlsCertFile, check);
  const key = await files.read(flagOf("tlsKeyFile"), config.tlsKeyFile, checkPrivateKey);
  const clientCa = await files.read(flagOf("tlsClientCaFile"), config.tlsClientCaFile, checkCertificates);
  files.checkPair(`${flagOf("tlsCertFile")} and ${flagOf("tlsKeyFile")}`, cert, key);
  const { mistakes } = files;
  if (mistakes.length > 0 || cert === undefined || key === undefined) {
    return { material: undefined, mistakes };
  }
  return { material: { cert, key, clientCa, expiresMs: expiryOf(cert) }, mistakes };
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
