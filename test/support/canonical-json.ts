/**
 * A JSON value as its text says it: numbers stay the text they were, whatever
 * their size, and objects are maps, so that no key means anything by itself.
 */
export type JsonValue = JsonNumber | string | boolean | null | JsonValue[] | JsonObject;
export type JsonObject = Map<string, JsonValue>;

export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The one text of all that mean the same: no whitespace, keys sorted by code point, numbers as they are. */
export function canonicalJson(value: JsonValue): string {
  if (value instanceof JsonNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!(value instanceof Map)) return JSON.stringify(value);
  const members = [...value].sort(([a], [b]) => compareCodePoints(a, b));
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(",")}}`;
}

/** Parses a JSON text; throws a SyntaxError if it is not one, or has a key twice. Recursive: for modest depths. */
export function parseJson(text: string): JsonValue {
  JSON.parse(text);
  const tokens = text.match(TOKEN) ?? [];
  let next = 0;
  const parseValue = (): JsonValue => {
    const token = tokens[next++];
    switch (token) {
      case "{":
        return parseItems("}", new Map<string, JsonValue>(), (object) => {
          const key: string = JSON.parse(tokens[next]!);
          if (object.has(key)) throw new SyntaxError(`the key ${tokens[next]} is there twice`);
          next += 2;
          object.set(key, parseValue());
        });
      case "[":
        return parseItems("]", [] as JsonValue[], (array) => array.push(parseValue()));
      case "true":
        return true;
      case "false":
        return false;
      case "null":
        return null;
      default:
        return token!.startsWith('"') ? JSON.parse(token!) : new JsonNumber(token!);
    }
  };
  const parseItems = <Items extends JsonValue>(
    end: string,
    items: Items,
    addItem: (items: Items) => void,
  ) => {
    for (; tokens[next] !== end; next += tokens[next] === "," ? 1 : 0) addItem(items);
    next++;
    return items;
  };
  return parseValue();
}

const TOKEN = /[{}[\]:,]|"(?:[^"\\]|\\.)*"|[^\s{}[\]:,"]+/g;

function compareCodePoints(a: string, b: string): number {
  // UTF-8 sorts by code point; in it all lone surrogates are the same, so they sort as they are.
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) || (a < b ? -1 : 1);
}
