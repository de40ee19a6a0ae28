import { expect, it } from "vitest";
import type { Homeserver } from "../../../src/core/model/types.js";
import { LastChanges } from "../../../src/status/last-changes.js";

const [A, B] = ["a.example" as Homeserver, "b.example" as Homeserver];

it("lists the newest change first, and changes of one kind in a row as one", () => {
  let nowMs = 0;
  const changes = new LastChanges(() => nowMs++);
  for (const kind of ["redacted", "redacted", "rejected"] as const) changes.add(A, kind);
  changes.add(B, "rejected");
  expect(changes.list()).toEqual([
    { timeMs: 3, homeserver: B, kind: "rejected", count: 1 },
    { timeMs: 2, homeserver: A, kind: "rejected", count: 1 },
    { timeMs: 1, homeserver: A, kind: "redacted", count: 2 },
  ]);
});

it("keeps twenty", () => {
  const changes = new LastChanges(() => 0);
  for (let at = 0; at < 50; at += 1) changes.add(at % 2 === 0 ? A : B, "invalidated");
  expect(changes.list()).toHaveLength(20);
});
