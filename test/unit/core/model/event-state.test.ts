import { expect, it } from "vitest";
import { rejectionOf, stateOf } from "../../../../src/core/model/event-state.js";
import { messageEvent } from "../../../support/store/store-harness.js";

const event = messageEvent("$a");

it("keeps no reason of an event that is not rejected: the bounds of the cache do not count it", () => {
  expect(stateOf({ ...event, rejectedReason: "why" })).toBe(stateOf(event));
  expect(stateOf({ ...event, rejected: true, rejectedReason: "why" }).rejectedReason).toBe("why");
  expect(rejectionOf({ rejected: false, rejectedReason: "why" }).rejectedReason).toBe("");
});
