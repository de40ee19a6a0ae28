import { describe, expect, it } from "vitest";
import { membersOfDocument, membersOfObject } from "../../../../src/core/redaction/json-members.js";

/** The document's object is one of them. */
const LEVELS = 1000;

const VALUES = 20_000;

describe("the members of a JSON object", () => {
  it("are found in their order, each with its key and its place", () => {
    const text = ' { "a" :\t1,"b":\n[ 2 , {} ] , "":"c" }\r\n';
    const members = membersOfDocument(text)!;
    expect(members.map(({ key }) => key)).toEqual(["a", "b", ""]);
    expect(members.map(({ start, end }) => text.slice(start, end))).toEqual([
      '"a" :\t1',
      '"b":\n[ 2 , {} ]',
      '"":"c"',
    ]);
    expect(members.map(({ valueStart, end }) => text.slice(valueStart, end))).toEqual([
      "1",
      "[ 2 , {} ]",
      '"c"',
    ]);
  });

  it("are found in an object that stands inside a text", () => {
    const text = '[{"a":{"b":1}},2]';
    expect(membersOfObject(text, 1)).toEqual([{ key: "a", start: 2, valueStart: 6, end: 13 }]);
    expect(membersOfObject(text, 0)).toBeUndefined();
  });

  it("have keys without escapes", () => {
    const members = membersOfDocument('{"\\u0061\\n\\ud83d\\ude00":1,"__proto__":2,"é😀":3}')!;
    expect(members.map(({ key }) => key)).toEqual(["a\n😀", "__proto__", "é😀"]);
  });

  it("are none in an empty object", () => {
    expect(membersOfDocument("{ }")).toEqual([]);
  });
});

describe("a value", () => {
  it.each([
    ["0", "-0", "10", "-1.0", "1.50e+10", "1E-2", "1e5", "123456789012345678901234567890", "0.0"],
    ["true", "false", "null", '""', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\uD800\\uabCD"', '"\u007f\u2028\uffff"'],
    ["[]", "[ ]", "[1,[2,[]],{}]", "{}", '{"a":{"a":{}},"b":[{"a":1},{"a":2}]}', '[{"a":[]},{"a":[]}]'],
  ])("is whatever RFC 8259 allows: %s", (...values) => {
    for (const value of values) expect(membersOfDocument(`{"a":${value}}`), value).toHaveLength(1);
  });

  it.each([
    [
      "a number",
      "01",
      "-",
      "+1",
      ".5",
      "1.",
      "1.e5",
      "1e",
      "1e+",
      "0x1",
      "1_0",
      "--1",
      "NaN",
      "Infinity",
      "-01",
    ],
    ["a word", "True", "tru", "nul", "falsey", "undefined", "nulll"],
    [
      "a string",
      "'a'",
      '"a',
      '"\\x"',
      '"\\v"',
      '"\\0"',
      '"\\\'"',
      '"\\u12"',
      '"\\u12g4"',
      '"\\',
      '"\\U0041"',
      '"a\nb"',
      '"\t"',
      '"\u0000"',
    ],
    ["an array", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "[1]]", "[,]"],
    [
      "an object",
      "{",
      '{"a"',
      '{"a":',
      '{"a":1',
      '{"a":1,',
      '{"a":1,}',
      "{,}",
      '{"a" 1}',
      "{a:1}",
      "{1:1}",
      '{"a":1]',
    ],
    ["nothing", "", ",", ":", "/**/1", "1//", "\u00a01", "\u000b1", "\ufeff1"],
  ])("that is not quite %s is refused", (_kind, ...values) => {
    for (const value of values) expect(membersOfDocument(`{"a":${value}}`), value).toBeUndefined();
  });
});

describe("a document", () => {
  it.each([
    "",
    " ",
    "{",
    "}",
    "[]",
    "1",
    '"a"',
    "null",
    "{}{}",
    "{},",
    "{}x",
    "\ufeff{}",
    "{}\u0000",
    '{"a":1}}',
  ])("that is not one object alone is refused: %j", (text) => {
    expect(membersOfDocument(text)).toBeUndefined();
  });

  it.each([
    '{"a":1,"a":1}',
    '{"a":1,"b":2,"a":3}',
    '{"a":1,"b":2,"c":3,"b":4}',
    '{"a":1,"\\u0061":2}',
    '{"\\u00e9":1,"é":2}',
    '{"/":1,"\\/":2}',
    '{"😀":1,"\\ud83d\\uDE00":2}',
    '{"\\ud800":1,"\\uD800":2}',
    '{"__proto__":1,"__proto__":2}',
    '{"":1,"":2}',
    '{"x":{"a":1,"a":2}}',
    '{"x":[[{"y":{"b":1,"a":1,"a":2}}]]}',
  ])("that has a key twice is refused: %s", (text) => {
    expect(() => JSON.parse(text)).not.toThrow();
    expect(membersOfDocument(text)).toBeUndefined();
  });

  it.each([
    '{"a":{"a":{"a":1}}}',
    '{"a":[{"b":1},{"b":1}],"b":1}',
    '{"a":{"b":1},"c":{"b":1},"b":2}',
    '{"\\\\u0061":1,"a":2}',
    '{"\\ud800":1,"\\udbff":2}',
    '{"é":1,"e\u0301":2}',
  ])("may have a key again in another object, or a key that only looks the same: %s", (text) => {
    expect(membersOfDocument(text)).toBeDefined();
  });
});

describe("the work for a document", () => {
  it.each([
    ["arrays", "[", "1", "]"],
    ["objects", '{"a":', "1", "}"],
    ["objects and arrays", '[ {"a":1,"b":', "{}", "} ] "],
    ["empty arrays", "[", "", "]"],
  ])("is bounded: %s are read a thousand levels deep and no deeper", (_kind, opening, inmost, closing) => {
    const innermost = /[[{]/.test(inmost) ? 1 : 0;
    const repeats = Math.floor((LEVELS - 1 - innermost) / (opening.match(/[[{]/g) ?? []).length);
    const read = (count: number) =>
      membersOfDocument(`{"x":${opening.repeat(count)}${inmost}${closing.repeat(count)}}`);
    expect(read(repeats)).toHaveLength(1);
    expect(read(repeats + 1)).toBeUndefined();
    expect(membersOfDocument(`{"x":${opening.repeat(repeats)}`)).toBeUndefined();
  });

  it.each<[string, (values: number) => string]>([
    ["members", (values) => `{${numbered(values, (at) => `"k${at}":1`)}}`],
    ["members of an object inside", (values) => `{"x":{${numbered(values - 1, (at) => `"k${at}":1`)}}}`],
    ["members of many objects", (values) => `{"x":[${numbered((values - 2) / 2, () => '{"a":1}')},0]}`],
    ["empty arrays", (values) => `{"x":[${numbered(values - 1, () => "[]")}]}`],
  ])("is bounded: 20,000 values are read and no more, of %s", (_kind, textOf) => {
    expect(membersOfDocument(textOf(VALUES))).toBeDefined();
    expect(membersOfDocument(textOf(VALUES + 2))).toBeUndefined();
  });

  it("is not bounded by plain items of arrays, of which an event may have tens of thousands", () => {
    expect(membersOfDocument(`{"x":[${numbered(5 * VALUES, () => "1")}]}`)).toHaveLength(1);
  });

  it.each<[string, (size: number) => string]>([
    ["deep arrays", (size) => `{"x":${"[".repeat(size)}${"]".repeat(size)}}`],
    ["deep objects", (size) => `{"x":${'{"a":1,"b":'.repeat(size)}1${"}".repeat(size)}}`],
    [
      "many members",
      (size) => `{${Array.from({ length: size }, (_, index) => `"k${index + size}":1`).join()}}`,
    ],
    ["many small objects", (size) => `{"x":[${'{"a":1,"b":2},'.repeat(size)}1]}`],
    ["a long string", (size) => `{"x":"${"a\\n\\u0061".repeat(size)}"}`],
    ["a long key", (size) => `{"${"a\\n\\u0061".repeat(size)}":1}`],
    ["a long number", (size) => `{"x":${"1".repeat(size)}.${"1".repeat(size)}e${"1".repeat(size)}}`],
    ["much whitespace", (size) => `{${" ".repeat(size)}"x"${" ".repeat(size)}:[1${"\n".repeat(size)},2]}`],
  ])("is linear in its length: %s", (_kind, textOfSize) => {
    const text = textOfSize(100);
    const longer = textOfSize(800);
    expect(charactersRead(text) / text.length).toBeLessThan(4);
    expect(charactersRead(longer) / longer.length).toBeCloseTo(charactersRead(text) / text.length, 0);
  });
});

function numbered(count: number, textAt: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => textAt(at)).join();
}

/** How often a character is looked at: the scanner looks at them in no other way. */
function charactersRead(text: string): number {
  const { charCodeAt } = String.prototype;
  let count = 0;
  String.prototype.charCodeAt = function countedCharCodeAt(at) {
    count++;
    return charCodeAt.call(this, at);
  };
  try {
    expect(membersOfDocument(text)).toBeDefined();
  } finally {
    String.prototype.charCodeAt = charCodeAt;
  }
  return count;
}
