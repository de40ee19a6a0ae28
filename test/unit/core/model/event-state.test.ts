import { expect, it } from "vitest";
import { rejectionOf, stateOf } from "../../../../src/core/model/event-state.js";
import type { NewEvent } from "../../../../src/core/model/types.js";

const event = { rejected: false, rejectedReason: "", redaction: undefined } as unknown as NewEvent;

it("keeps no reason of an event that is not rejected: the bounds of the cache do not count it", () => {
  expect(stateOf({ ...event, rejectedReason: "why" })).toBe(stateOf(event));
  expect(stateOf({ ...event, rejected: true, rejectedReason: "why" }).rejectedReason).toBe("why");
  expect(rejectionOf({ rejected: false, rejectedReason: "why" }).rejectedReason).toBe("");
});
