import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeUtf8, isUnicode } from "../../../../src/cli/io/utf8.js";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

describe("decodeUtf8", () => {
  it("marks the first faulty character alone, among true replacement characters", () => {
    const bytes = Buffer.concat([Buffer.from("é\uFFFD\uFFFDa"), Buffer.from([0xe9]), Buffer.from("\uFFFDb")]);
    expect(decodeUtf8(bytes)).toBe("é\uFFFD\uFFFDa\uDC80\uFFFDb");
  });

  it.each([
    ["a sequence that is cut short", [0x61, 0xf0, 0x9f, 0x98]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["an overlong form", [0xc0, 0x80]],
    ["what ends like a replacement character", [0xef, 0xbf]],
  ])("marks %s", (_what, bytes) => {
    expect(isUnicode(decodeUtf8(Buffer.from(bytes)))).toBe(false);
  });

  it("is as strict as a fatal TextDecoder, and decodes alike", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 5 }),
      fc.constantFrom("\uFFFD", "\uFEFF", "é", "😀", "a").map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const bytes = Buffer.concat(pieces);
        let expected: string | undefined;
        try {
          expected = strict.decode(bytes);
        } catch {
          // Not UTF-8.
        }
        const text = decodeUtf8(bytes);
        expect(isUnicode(text) ? text : undefined).toBe(expected);
      }),
    );
  });
});
