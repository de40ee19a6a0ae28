import { expect, it } from "vitest";
import { encodeChanges, parseNotification } from "../../../../src/log/postgres/notification.js";

it("carries changes", () => {
  const changes = [Buffer.from([1, 2, 3]), Buffer.from([255])];
  const payload = `61 ${"ab".repeat(16)} 7 ${encodeChanges(changes)}`;
  expect(parseNotification(payload)).toEqual({
    homeserver: "61",
    changes: { epoch: "ab".repeat(16), first: 7, changes },
  });
});

it("names the homeserver alone where the changes are to be read", () => {
  expect(parseNotification("61")).toEqual({ homeserver: "61", changes: undefined });
});

it("stays below the 8,000 bytes that PostgreSQL takes, whatever the name", () => {
  const header = 2 * 255 + 1 + 32 + 1 + 16 + 1;
  expect(encodeChanges([Buffer.alloc(5300)])).toBeUndefined();
  expect(encodeChanges(Array.from({ length: 256 }, () => Buffer.alloc(30)))).toBeUndefined();
  expect(encodeChanges([Buffer.alloc(5200)])!.length + header).toBeLessThan(8000);
});
