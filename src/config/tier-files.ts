import { type Config, flagOf } from "./options.js";
import {
  checkCertificates,
  checkPrivateKey,
  type ReadFiles,
  readSecretFiles,
  type SecretFile,
} from "./secret-files.js";

const OPTIONS = {
  secret: "tierKeyFile",
  username: "tierUsernameFile",
  password: "tierPasswordFile",
  sentinelUsername: "tierSentinelUsernameFile",
  sentinelPassword: "tierSentinelPasswordFile",
  ca: "tierTlsCaFile",
  cert: "tierTlsCertFile",
  key: "tierTlsKeyFile",
} as const;

type FileName = keyof typeof OPTIONS;

const CHECKS: Partial<Record<FileName, (text: string) => void>> = {
  secret: checkTierKey,
  ca: checkCertificates,
  cert: checkCertificates,
  key: checkPrivateKey,
};

/** The contents of the tier's files. */
export type TierFiles = ReadFiles<FileName>["texts"];

/** Reads and checks the files of the tier. Reports every problem with its flag and path. */
export function readTierFiles(
  config: Pick<Config, (typeof OPTIONS)[FileName]>,
): Promise<ReadFiles<FileName>> {
  const files = Object.entries(OPTIONS).map(([name, option]): [string, SecretFile] => {
    const check = CHECKS[name as FileName];
    return [name, { place: flagOf(option), path: config[option], ...(check && { check }) }];
  });
  return readSecretFiles(Object.fromEntries(files) as Record<FileName, SecretFile>);
}

/** The minimal length of the secret: `openssl rand -hex 16` prints as many characters. */
const SECRET_CHARACTERS_MIN = 32;
const REMEDY = "create one with: openssl rand -hex 32";

function checkTierKey(text: string): void {
  if (text.length < SECRET_CHARACTERS_MIN) {
    throw new Error(
      `has ${text.length} characters and must have at least ${SECRET_CHARACTERS_MIN}; ${REMEDY}`,
    );
  }
  if (/^(.)\1*$/s.test(text)) throw new Error(`repeats one character; ${REMEDY}`);
}
