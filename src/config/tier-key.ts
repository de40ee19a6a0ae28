/** The least length of a tier's secret: as many characters as `openssl rand -hex 16` prints. */
const CHARACTERS_MIN = 32;

/** Throws what is wrong with the text of a key file of the tier, which never shows the text. */
export function checkTierKey(text: string): void {
  if (text.length < CHARACTERS_MIN)
    throw new Error(
      `holds ${text.length} characters, must hold at least ${CHARACTERS_MIN}: openssl rand -hex 32`,
    );
  if (/^(.)\1*$/s.test(text))
    throw new Error("holds one character repeated: openssl rand -hex 32 makes a key");
}

/** The secret that a key file holds. */
export function tierSecretOf(text: string): Buffer {
  return Buffer.from(text);
}
