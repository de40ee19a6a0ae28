import { describe, expect, it } from "vitest";
import { canonicalJson, parseJson } from "../../support/canonical-json.js";

describe("canonical JSON", () => {
  it("sorts keys by code point, not by UTF-16 unit", () => {
    expect(canonicalJson(parseJson('{"😀":1,"\uffee":2,"b":3,"a":4,"":5,"ab":6}'))).toBe(
      '{"":5,"a":4,"ab":6,"b":3,"\uffee":2,"😀":1}',
    );
  });

  it("keeps numbers as their text", () => {
    const numbers = "[9007199254740993,-0,1.0,1E5,0.10]";
    expect(canonicalJson(parseJson(numbers))).toBe(numbers);
  });

  it("keeps every key, and has no whitespace and one form of each string", () => {
    expect(
      canonicalJson(parseJson(' { "__proto__" : [ { } , [ ] , null ] , "\\u0061\\/" : "\\u0062{," } ')),
    ).toBe('{"__proto__":[{},[],null],"a/":"b{,"}');
  });

  it("is not made of text that is not JSON, or has a key twice", () => {
    expect(() => parseJson('{"a":1')).toThrow(SyntaxError);
    expect(() => parseJson('{"a":1,"\\u0061":2}')).toThrow(SyntaxError);
  });
});
