import { expect, it } from "vitest";
import {
  encodeChanges,
  parseNotification,
  sign,
} from "../../../../../src/log/postgres/codec/notification.js";

const KEY = Buffer.alloc(32, 7);
const changes = [Buffer.from([1, 2, 3]), Buffer.from([255])];
const text = `61 ${"ab".repeat(16)} 7 ${encodeChanges(changes)}`;

it("carries changes", () => {
  expect(parseNotification(sign(text, KEY), KEY)).toEqual({
    homeserver: "61",
    changes: { epoch: "ab".repeat(16), first: 7, changes },
  });
});

it("names the homeserver alone where the changes are to be read", () => {
  expect(parseNotification("61", KEY)).toEqual({ homeserver: "61", changes: undefined });
});

it.each([
  ["without a code", text],
  ["with the code of another key", sign(text, Buffer.alloc(32, 8))],
  ["with the code of another position", sign(text, KEY).replace(" 7 ", " 8 ")],
  ["with one change less", sign(text, KEY).replace(" /w==", "")],
  ["with no change", sign("61", KEY)],
])("takes one %s for no more than a hint to read", (_, payload) => {
  expect(parseNotification(payload, KEY)).toEqual({ homeserver: "61", changes: undefined });
});

it("stays below the 8,000 bytes that PostgreSQL accepts, with any name", () => {
  const header = 2 * 255 + 1 + 32 + 1 + 16 + 1 + 33;
  expect(encodeChanges([Buffer.alloc(5300)])).toBeUndefined();
  expect(encodeChanges(Array.from({ length: 256 }, () => Buffer.alloc(30)))).toBeUndefined();
  expect(encodeChanges([Buffer.alloc(5170)])!.length + header).toBeLessThan(8000);
});
