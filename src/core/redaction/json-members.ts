import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  endOfCharacter,
  endOfScalar,
  endOfString,
  INVALID,
  OPEN_BRACE,
  OPEN_BRACKET,
  skipWhitespace,
} from "./json-tokens.js";

/** A member of a JSON object: its key, and its place in the text. */
export interface JsonMember {
  /** The key without its escapes. */
  readonly key: string;
  /** Where the key's opening quote is. */
  readonly start: number;
  readonly valueStart: number;
  /** Where the value ends. */
  readonly end: number;
}

/**
 * The members of a text that consists of one JSON object (RFC 8259) and optional
 * whitespace. Undefined if the text is anything else, or if any object in it has a
 * duplicate key, escaped or not: parsers may then see different values. Undefined
 * as well if it is nested deeper than 1,000 objects and arrays, or has more than
 * 20,000 members, objects and arrays at all depths. Scalar items of arrays are not
 * counted: real events have tens of thousands.
 *
 * Takes time and memory linear in the size of the text.
 */
export function membersOfDocument(text: string): readonly JsonMember[] | undefined {
  const object = readObject(text, skipWhitespace(text, 0), new ValueBudget());
  return object !== undefined && skipWhitespace(text, object.end) === text.length
    ? object.members
    : undefined;
}

/** The same for the object that starts at `start`, regardless of the text after it. */
export function membersOfObject(text: string, start: number): readonly JsonMember[] | undefined {
  return readObject(text, start, new ValueBudget())?.members;
}

/** The value of the well-formed string from `start` to `end`, quotes included. */
export function unescapeString(text: string, start: number, end: number): string {
  const content = text.slice(start + 1, end - 1);
  return content.includes("\\") ? JSON.parse(text.slice(start, end)) : content;
}

interface ObjectText {
  readonly members: readonly JsonMember[];
  readonly end: number;
}

/** How many members, objects and arrays of a document may still be read. */
class ValueBudget {
  #left = VALUES_MAX;

  /** Takes one; false if none is left. */
  take(): boolean {
    this.#left -= 1;
    return this.#left >= 0;
  }
}

function readObject(text: string, start: number, budget: ValueBudget): ObjectText | undefined {
  const members: JsonMember[] = [];
  const keys = new ObjectKeys();
  let at = skipWhitespace(text, endOfCharacter(text, start, OPEN_BRACE));
  if (text.charCodeAt(at) === CLOSE_BRACE) return { members, end: at + 1 };
  for (;;) {
    const keyEnd = endOfString(text, at);
    if (keyEnd === INVALID) return undefined;
    const key = unescapeString(text, at, keyEnd);
    const valueStart = startOfValue(text, keyEnd);
    const end = endOfValue(text, valueStart, budget);
    if (end === INVALID || !keys.add(key)) return undefined;
    members.push({ key, start: at, valueStart, end });
    at = skipWhitespace(text, end);
    if (text.charCodeAt(at) === CLOSE_BRACE) return { members, end: at + 1 };
    at = skipWhitespace(text, endOfCharacter(text, at, COMMA));
  }
}

/**
 * The end of a value of any kind, or INVALID. Open containers are kept in a list,
 * not on the call stack: a text may be nested as deep as it is long.
 */
function endOfValue(text: string, start: number, budget: ValueBudget): number {
  const open: Container[] = [];
  let at = start;
  for (;;) {
    const code = text.charCodeAt(at);
    const isContainer = code === OPEN_BRACE || code === OPEN_BRACKET;
    const isCounted = isContainer || open.length === 0 || open.at(-1) !== ARRAY;
    if (isCounted && !budget.take()) return INVALID;
    if (isContainer) {
      // The document's object is the first level.
      if (open.length + 1 === NESTING_MAX) return INVALID;
      const container = code === OPEN_BRACE ? new ObjectKeys() : ARRAY;
      open.push(container);
      at = skipWhitespace(text, at + 1);
      if (!closes(text, at, container)) {
        at = startOfItem(text, at, container);
        continue;
      }
    } else {
      at = endOfScalar(text, at);
      if (at === INVALID) return INVALID;
    }
    at = closeContainers(text, at, open);
    const container = open.at(-1);
    if (container === undefined) return at;
    at = startOfItem(text, skipWhitespace(text, endOfCharacter(text, at, COMMA)), container);
  }
}

/**
 * Far more than any client's event has, and part of the contract. That many distinct keys in one object take
 * some 10 ms, and several times that before the code is compiled: each is kept to find a duplicate.
 */
const NESTING_MAX = 1000;
const VALUES_MAX = 20_000;

/** The keys of an open object, or the mark of an open array. */
type Container = ObjectKeys | typeof ARRAY;
const ARRAY = null;

/** Closes the containers that end here. Returns the end of the last one, or the start of the next item. */
function closeContainers(text: string, start: number, open: Container[]): number {
  let at = start;
  for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
    at = skipWhitespace(text, at);
    if (!closes(text, at, last)) break;
    open.pop();
    at++;
  }
  return at;
}

function closes(text: string, at: number, container: Container): boolean {
  return text.charCodeAt(at) === (container === ARRAY ? CLOSE_BRACKET : CLOSE_BRACE);
}

/** The start of the value of the item at `at`: in an object, after its key. */
function startOfItem(text: string, at: number, container: Container): number {
  if (container === ARRAY) return at;
  const keyEnd = endOfString(text, at);
  if (keyEnd === INVALID || !container.add(unescapeString(text, at, keyEnd))) return INVALID;
  return startOfValue(text, keyEnd);
}

function startOfValue(text: string, keyEnd: number): number {
  return skipWhitespace(text, endOfCharacter(text, skipWhitespace(text, keyEnd), COLON));
}

/** The keys of one object. Most objects of a deep text have a single key, which needs no set. */
class ObjectKeys {
  #first: string | undefined;
  #all: Set<string> | undefined;

  /** Adds a key. Returns false if it is a duplicate. */
  add(key: string): boolean {
    if (this.#first === undefined) {
      this.#first = key;
      return true;
    }
    this.#all ??= new Set([this.#first]);
    const sizeBefore = this.#all.size;
    return this.#all.add(key).size > sizeBefore;
  }
}
