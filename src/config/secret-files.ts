import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Problem } from "./settings.js";

/** A file of a secret or of certificates. */
export interface SecretFile {
  /** The option or the parameter that names the file. */
  readonly place: string;
  readonly path: string | undefined;
  /** Throws an error with the problem of a text, which never contains the text. */
  readonly check?: (text: string) => void;
}

/** The texts of files, and all problems with them. */
export interface ReadFiles<Name extends string> {
  /** Without the line feed that editors add; undefined if no file is given or the file is not valid. */
  readonly texts: Readonly<Record<Name, string | undefined>>;
  readonly problems: readonly Problem[];
}

/**
 * Reads and checks files, so that an invalid file is an error at the start instead of a
 * connection that never succeeds. Files named `cert` and `key` must belong together.
 */
export async function readSecretFiles<Name extends string>(
  files: Readonly<Record<Name | "cert" | "key", SecretFile>>,
): Promise<ReadFiles<Name | "cert" | "key">> {
  const problems: Problem[] = [];
  const texts: Record<string, string | undefined> = {};
  for (const [name, { place, path, check }] of Object.entries<SecretFile>(files)) {
    texts[name] = undefined;
    if (path === undefined) continue;
    try {
      const text = await readText(path);
      check?.(text);
      texts[name] = text;
    } catch (error) {
      problems.push({ place: `${place} ${path}`, problem: messageOf(error) });
    }
  }
  const { cert, key } = texts as ReadFiles<"cert" | "key">["texts"];
  if (cert !== undefined && key !== undefined) {
    try {
      checkPair(cert, key);
    } catch (error) {
      problems.push({ place: `${files.cert.place} and ${files.key.place}`, problem: messageOf(error) });
    }
  }
  return { texts: texts as ReadFiles<Name | "cert" | "key">["texts"], problems };
}

/** Node.js accepts the key of another certificate if the two are of different kinds. */
function checkPair(cert: string, key: string): void {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error("the key does not belong to the certificate");
  }
  createSecureContext({ cert, key });
}

/** Node.js ignores invalid certificates in a file of authorities, and would then trust no server. */
export function checkCertificates(text: string): void {
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new Error("contains no certificate in PEM");
  for (const [index, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw new Error(`certificate ${index + 1} of ${certificates.length} is not valid: ${messageOf(error)}`);
    }
  }
}

export function checkPrivateKey(text: string): void {
  try {
    createPrivateKey(text);
  } catch (error) {
    throw new Error(`contains no private key in PEM without a passphrase: ${messageOf(error)}`);
  }
}

async function readText(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new Error(`cannot be read: ${messageOf(error)}`);
  });
  const withoutLineEnd = text.replace(/\r?\n$/, "");
  if (withoutLineEnd === "") throw new Error("is empty");
  return withoutLineEnd;
}

/** From its first line to its last, or to the end of a text that was cut off. */
const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?(?:-----END (?:X509 |TRUSTED )?CERTIFICATE-----|$)/gs;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
