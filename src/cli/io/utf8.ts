const REPLACEMENT_CHARACTER = "\uFFFD";
const REPLACEMENT_BYTES = Buffer.from(REPLACEMENT_CHARACTER);
/** Half of a surrogate pair, which no text in UTF-8 holds. */
const MARK = "\uDC80";

/**
 * Decodes UTF-8. In a text that is not UTF-8 the first invalid character becomes half of a surrogate
 * pair, so that the parser of the text can name its place: see `isUnicode`.
 */
export function decodeUtf8(bytes: Buffer): string {
  const text = bytes.toString();
  let start = 0;
  let offset = 0;
  for (;;) {
    const at = text.indexOf(REPLACEMENT_CHARACTER, start);
    if (at < 0) return text;
    offset += Buffer.byteLength(text.slice(start, at));
    const end = offset + REPLACEMENT_BYTES.length;
    if (!bytes.subarray(offset, end).equals(REPLACEMENT_BYTES)) {
      return text.slice(0, at) + MARK + text.slice(at + 1);
    }
    offset = end;
    start = at + 1;
  }
}

/** Whether a text has no half of a surrogate pair, which UTF-8 cannot encode. */
export function isUnicode(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

/** The problem of a text that is not faithful. */
export const NOT_UTF8 = "is not valid UTF-8, or has the character U+FFFD, which replaces invalid bytes";

/**
 * Whether an argument or a variable holds what the user gave. Node.js puts U+FFFD in place of each
 * invalid byte, so that two IDs would become one; a genuine U+FFFD looks the same.
 */
export function isFaithful(text: string): boolean {
  return isUnicode(text) && !text.includes(REPLACEMENT_CHARACTER);
}
