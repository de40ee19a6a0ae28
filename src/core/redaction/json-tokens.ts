/**
 * Scans the tokens of JSON (RFC 8259) in a text without creating values. Each
 * function takes the start of its token and returns the end of the token, or
 * INVALID. There is no character at INVALID, so a failure needs no check of its
 * own: nothing is found there.
 */

/** The end of a malformed token. */
export const INVALID = -1;

export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const UPPER_E = 0x45;
const LOWER_E = 0x65;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_T = 0x74;
const LOWER_U = 0x75;
/** The characters that may follow a backslash, besides `u`. */
const ESCAPES: ReadonlySet<string> = new Set('"\\/bfnrt');

/** The index of the first character at or after `at` that is not whitespace. */
export function skipWhitespace(text: string, at: number): number {
  let end = at;
  while (end < text.length && isWhitespace(text.charCodeAt(end))) end++;
  return end;
}

/** The index after `at`, if the character there is the expected one. */
export function endOfCharacter(text: string, at: number, expected: number): number {
  return text.charCodeAt(at) === expected ? at + 1 : INVALID;
}

/** The end of a string, its quotes included. */
export function endOfString(text: string, start: number): number {
  if (text.charCodeAt(start) !== QUOTE) return INVALID;
  let at = start + 1;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) {
      at = endOfEscape(text, at);
      if (at === INVALID) return INVALID;
    } else if (code >= SPACE) {
      at++;
    } else {
      return INVALID;
    }
  }
}

/** The end of a string, a number, `true`, `false` or `null`. */
export function endOfScalar(text: string, start: number): number {
  switch (text.charCodeAt(start)) {
    case QUOTE:
      return endOfString(text, start);
    case LOWER_T:
      return endOfWord(text, start, "true");
    case LOWER_F:
      return endOfWord(text, start, "false");
    case LOWER_N:
      return endOfWord(text, start, "null");
    default:
      return endOfNumber(text, start);
  }
}

function endOfEscape(text: string, backslash: number): number {
  if (text.charCodeAt(backslash + 1) !== LOWER_U) {
    return ESCAPES.has(text.charAt(backslash + 1)) ? backslash + 2 : INVALID;
  }
  for (let at = backslash + 2; at < backslash + 6; at++) {
    if (!isHexDigit(text.charCodeAt(at))) return INVALID;
  }
  return backslash + 6;
}

function endOfWord(text: string, start: number, word: string): number {
  return text.startsWith(word, start) ? start + word.length : INVALID;
}

function endOfNumber(text: string, start: number): number {
  const first = text.charCodeAt(start) === MINUS ? start + 1 : start;
  let at = text.charCodeAt(first) === ZERO ? first + 1 : endOfDigits(text, first);
  if (text.charCodeAt(at) === POINT) at = endOfDigits(text, at + 1);
  const exponent = text.charCodeAt(at);
  if (exponent === LOWER_E || exponent === UPPER_E) {
    const sign = text.charCodeAt(at + 1);
    at = endOfDigits(text, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
  }
  return at;
}

/** The end of one or more digits. */
function endOfDigits(text: string, start: number): number {
  let at = start;
  while (isDigit(text.charCodeAt(at))) at++;
  return at === start ? INVALID : at;
}

function isWhitespace(code: number): boolean {
  return code === SPACE || code === LINE_FEED || code === CARRIAGE_RETURN || code === TAB;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

function isHexDigit(code: number): boolean {
  const lowerCase = code | 0x20;
  return isDigit(code) || (lowerCase >= 0x61 && lowerCase <= LOWER_F);
}
