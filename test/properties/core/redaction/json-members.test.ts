import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { membersOfDocument } from "../../../../src/core/redaction/json-members.js";
import { parseJson } from "../../../support/canonical-json.js";

describe("a document", () => {
  // What the engine's own parser accepts is the oracle; only a key that is there twice makes a difference.
  it("is accepted exactly if a parser accepts it and no key is there twice", () => {
    const pieces = fc.constantFrom(
      ...'{}[]:,"\\ \n\t019.-+eEtrufalsn/xX\u0000\u001f\u007f\u00a0\ufeff',
      ...['"a":', '"b":', '"\\u0061":', '"a"', "true", "null", "false", "-0", "1e5", "1.5", "[]", "{}", "😀"],
    );
    const seeds = fc.constantFrom(
      '{"a":1,"b":[true,null,{"a":"x\\u0061\\n","c":-1.5e+3}]}',
      '{"type":"m.room.message","content":{"body":"\\ud83d\\ude00","n":[0,[],{}]}}',
      '{"a":{"b":{"a":[{"b":""},{"b":false}]}}}',
    );
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), fc.option(pieces, { nil: "" })), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(seeds, edits, (seed, changes) => {
        let text = seed;
        for (const [place, removed, inserted] of changes) {
          const at = place % (text.length + 1);
          text = text.slice(0, at) + inserted + text.slice(at + removed);
        }
        expect(membersOfDocument(text) !== undefined, text).toBe(isObjectWithUniqueKeys(text));
      }),
      { numRuns: 5000 },
    );
  });
});

function isObjectWithUniqueKeys(text: string): boolean {
  try {
    return parseJson(text) instanceof Map;
  } catch {
    return false;
  }
}
