const REPLACEMENT_CHARACTER = "\uFFFD";
const REPLACEMENT_BYTES = Buffer.from(REPLACEMENT_CHARACTER);
/** Half of a surrogate pair, which no text in UTF-8 holds. */
const MARK = "\uDC80";

/**
 * Decodes UTF-8. In a text that is not UTF-8 the first faulty character becomes half of a surrogate
 * pair, so that whoever parses the text can say where it is: see `isUnicode`.
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

/** Whether a text holds no half of a surrogate pair: encoded, it would become another text. */
export function isUnicode(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}
