import { type Config, flagOf } from "./options.js";
import { checkCertificates, checkPrivateKey, SecretFiles } from "./secret-files.js";
import type { Mistake } from "./settings.js";
import { checkTierKey } from "./tier-key.js";

/** What each file of the tier is to hold; a check throws what is wrong with a text. */
const FILES = {
  secret: { option: "tierKeyFile", check: checkTierKey },
  username: { option: "tierUsernameFile" },
  password: { option: "tierPasswordFile" },
  sentinelUsername: { option: "tierSentinelUsernameFile" },
  sentinelPassword: { option: "tierSentinelPasswordFile" },
  ca: { option: "tierTlsCaFile", check: checkCertificates },
  cert: { option: "tierTlsCertFile", check: checkCertificates },
  key: { option: "tierTlsKeyFile", check: checkPrivateKey },
} as const satisfies Readonly<
  Record<string, { readonly option: keyof Config; readonly check?: (text: string) => void }>
>;

type FileName = keyof typeof FILES;

/** The contents of the tier's files, of those that are given. */
export type TierFiles = Readonly<Record<FileName, string | undefined>>;

/**
 * Reads and checks the files, so that a wrong file is an error at the start rather than
 * a tier that never connects. Every mistake is reported, with its place.
 */
export async function readTierFiles(
  config: Pick<Config, (typeof FILES)[FileName]["option"]>,
): Promise<{ readonly files: TierFiles; readonly mistakes: readonly Mistake[] }> {
  const reader = new SecretFiles();
  const texts: Partial<Record<FileName, string | undefined>> = {};
  for (const [name, file] of Object.entries(FILES) as [FileName, (typeof FILES)[FileName]][]) {
    const check = "check" in file ? file.check : undefined;
    texts[name] = await reader.read(flagOf(file.option), config[file.option], check);
  }
  const pair = `${flagOf("tierTlsCertFile")} and ${flagOf("tierTlsKeyFile")}`;
  reader.checkPair(pair, texts.cert, texts.key);
  return { files: texts as TierFiles, mistakes: reader.mistakes };
}
