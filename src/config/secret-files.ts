import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Mistake } from "./settings.js";

/** Reads files that hold secrets and certificates, and collects what is wrong with them. */
export class SecretFiles {
  readonly mistakes: Mistake[] = [];

  /** The text of a file without the line end that editors leave; undefined if none is given or it is wrong. */
  async read(
    place: string,
    path: string | undefined,
    check: (text: string) => void = () => {},
  ): Promise<string | undefined> {
    if (path === undefined) return undefined;
    try {
      const text = await readText(path);
      check(text);
      return text;
    } catch (error) {
      this.mistakes.push({ place: `${place} ${path}`, problem: messageOf(error) });
      return undefined;
    }
  }

  /** TLS takes a certificate with the key of another one if they are of different kinds. */
  checkPair(place: string, cert: string | undefined, key: string | undefined): void {
    if (cert === undefined || key === undefined) return;
    try {
      if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
        throw new Error("the key does not belong to the certificate");
      }
      createSecureContext({ cert, key });
    } catch (error) {
      this.mistakes.push({ place, problem: messageOf(error) });
    }
  }
}

/** TLS passes over what it cannot read of a file of authorities, and would trust nobody. */
export function checkCertificates(text: string): void {
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

export function checkPrivateKey(text: string): void {
  try {
    createPrivateKey(text);
  } catch (error) {
    throw new Error(`holds no private key in PEM without a passphrase: ${messageOf(error)}`);
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

/** From its first line to its last, or to the end of the text if that was cut off. */
const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?(?:-----END (?:X509 |TRUSTED )?CERTIFICATE-----|$)/gs;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
