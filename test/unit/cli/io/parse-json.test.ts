import { describe, expect, it } from "vitest";
import { parseJson } from "../../../../src/cli/io/parse-json.js";
import { decodeUtf8 } from "../../../../src/cli/io/utf8.js";

/** Two ways to write text that is not Unicode, and the named problem. */
const FAULTS = [
  [Buffer.from("\\ud800"), "has half of a surrogate pair"],
  [Buffer.from("\\uDC80x"), "has half of a surrogate pair"],
  [Buffer.from([0xe9]), "is not valid UTF-8"],
] as const;

/** Parses a text in which `?` stands for a fault. */
function parse(text: string, fault: Buffer) {
  const [before = "", after = ""] = text.split("?");
  return parseJson(decodeUtf8(Buffer.concat([Buffer.from(before), fault, Buffer.from(after)])), "f, line 3");
}

describe.each(FAULTS)("parseJson, of a text with %s", (fault, problem) => {
  it.each([
    ['{"event_id":"$?"}', "event_id"],
    ['{"a":"b","body":"{\\"x\\":\\"?\\"}"}', "body"],
    ['{"ids":["a",1,"?"]}', "ids[2]"],
    ['{"a":{"b":[{"c":"?"}]}}', "a.b[0].c"],
    ['{"passed_over":{"?":1}}', "passed_over."],
    ['"?"', "the text"],
  ])("refuses %s and names the field", (text, field) => {
    expect(() => parse(text, fault)).toThrow(`f, line 3: ${field}`);
    expect(() => parse(text, fault)).toThrow(problem);
  });

  it("names the first of several", () => {
    expect(() => parse('{"first":"?","second":"\\ud800"}', fault)).toThrow("f, line 3: first ");
  });
});

describe("parseJson", () => {
  it("takes whole surrogate pairs, escapes inside a body, and replacement characters", () => {
    const text = '{"a":"\\ud83d\\ude00 😀 \uFFFD","body":"\\"\\\\ud800\\""}';
    expect(parseJson(decodeUtf8(Buffer.from(text)), "line 1")).toEqual({
      a: "😀 😀 \uFFFD",
      body: '"\\ud800"',
    });
  });

  it("names a byte order mark", () => {
    const parsing = () => parseJson(decodeUtf8(Buffer.from("\uFEFF{}")), "f, line 1");
    expect(parsing).toThrow("f, line 1 begins with a byte order mark (U+FEFF); remove it");
  });

  it("says of another encoding that it is not UTF-8", () => {
    const parsing = () => parseJson(decodeUtf8(Buffer.from("\uFEFF{}", "utf16le")), "f, line 1");
    expect(parsing).toThrow("f, line 1 is not valid UTF-8");
  });

  it("walks a text that is nested deeply", () => {
    const depth = 5000;
    const text = `${"[".repeat(depth)}"\\ud800"${"]".repeat(depth)}`;
    expect(() => parseJson(text, "line 1")).toThrow("has half of a surrogate pair");
  });
});
