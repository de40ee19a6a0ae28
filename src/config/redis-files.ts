import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { ConfigError } from "./parse-config.js";
import type { Mistake } from "./settings.js";
import { checkTierKey } from "./tier-key.js";

/** The files of the tier, by the options that name them; a check throws what is wrong with a text. */
const FILES = {
  tierKey: { flag: "--tier-key-file", check: checkTierKey },
  username: { flag: "--redis-username-file", check: () => {} },
  password: { flag: "--redis-password-file", check: () => {} },
  sentinelUsername: { flag: "--redis-sentinel-username-file", check: () => {} },
  sentinelPassword: { flag: "--redis-sentinel-password-file", check: () => {} },
  ca: { flag: "--redis-ca-file", check: checkCertificates },
  cert: { flag: "--redis-cert-file", check: checkCertificates },
  key: { flag: "--redis-key-file", check: checkKey },
} as const;

type FileName = keyof typeof FILES;

/** The text of each file that is given, without the line end that editors leave. */
export type RedisFiles = Readonly<Record<FileName, string | undefined>>;

/**
 * Reads and checks the files at these paths, so that a wrong one is an error at the start rather than a cache
 * that never connects. Rejects with a ConfigError that names every mistake.
 */
export async function readRedisFiles(paths: RedisFiles): Promise<RedisFiles> {
  const mistakes: Mistake[] = [];
  const read = async (name: FileName) => {
    const { flag, check } = FILES[name];
    const path = paths[name];
    if (path === undefined) return undefined;
    try {
      const text = await readText(path);
      check(text);
      return text;
    } catch (error) {
      mistakes.push({ place: `${flag} ${path}`, problem: messageOf(error) });
      return undefined;
    }
  };
  const files = {
    tierKey: await read("tierKey"),
    username: await read("username"),
    password: await read("password"),
    sentinelUsername: await read("sentinelUsername"),
    sentinelPassword: await read("sentinelPassword"),
    ca: await read("ca"),
    cert: await read("cert"),
    key: await read("key"),
  };
  const problem = problemOfPair(files);
  if (problem !== undefined) mistakes.push({ place: `${FILES.cert.flag} and ${FILES.key.flag}`, problem });
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return files;
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

function checkKey(text: string): void {
  try {
    createPrivateKey(text);
  } catch (error) {
    throw new Error(`holds no private key in PEM without a passphrase: ${messageOf(error)}`);
  }
}

/** TLS takes a certificate with the key of another one if they are of different kinds. */
function problemOfPair({ cert, key }: RedisFiles): string | undefined {
  if (cert === undefined || key === undefined) return undefined;
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    return "the key is not that of the certificate";
  }
  try {
    createSecureContext({ cert, key });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
