import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { redactEvent } from "../../../../src/core/redaction/redaction.js";
import { readJsonLines } from "../../../support/shared-data.js";

describe("an event cannot be redacted if its body is cut short", () => {
  const samples: { readonly room_version: string; readonly json: string }[] = [];
  beforeAll(async () => {
    const path = join(import.meta.dirname, "../../../fixtures/redaction/corpus-sample.jsonl");
    for await (const event of readJsonLines<(typeof samples)[number]>(path)) samples.push(event);
  });

  it("anywhere", () => {
    for (const { json, room_version } of samples.slice(0, 10)) {
      const body = Buffer.from(json);
      for (let end = 0; end < body.length; end++) {
        expect(
          redactEvent(body.subarray(0, end), room_version) === undefined,
          `${end} bytes of ${json}`,
        ).toBe(true);
      }
      expect(redactEvent(body, room_version)).toBeDefined();
    }
  });
});
