import { describe, expect, it } from "vitest";
import { residentBytes, stringBytes } from "../../../../src/core/memory/heap-cost.js";

describe("stringBytes", () => {
  it.each([
    ["", 24],
    ["abc", 27],
    ["\u0000\u00ff", 26],
    ["\u0100", 26],
    ["abc\uffff", 32],
    ["😀", 28],
  ])("counts the header and one byte a character, or two if one is beyond latin1: %j", (text, bytes) => {
    expect(stringBytes(text)).toBe(bytes);
  });
});

describe("residentBytes", () => {
  it("counts a quarter more than the heap's bytes, in whole bytes", () => {
    expect([0, 1, 4, 1000].map(residentBytes)).toEqual([0, 2, 5, 1250]);
  });
});
