/**
 * Strings of a server or a file as a terminal may show them: control characters
 * (which could move the cursor, recolour or retitle) and characters that reorder
 * or hide text become visible escapes.
 */
export function terminalText(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}

/** Control, format and surrogate characters, line and paragraph separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
