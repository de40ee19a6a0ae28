import { describe, expect, it } from "vitest";
import { expectBreaks, expectHolds } from "../expectations.js";
import { subscriptionModel } from "./subscription-model.js";
import type { SubscriptionRules, SubscriptionScope } from "./subscription-rules.js";

const base: SubscriptionScope = { ring: 1, changes: 2, epochs: 2, disconnects: 1, frames: 1, reads: 1 };

describe("with all rules of subscriptions, I2, I3 and I4 hold", () => {
  it.each<[string, SubscriptionScope, number]>([
    ["one new epoch", base, 70_000],
    ["two new epochs", { ...base, epochs: 3, changes: 1 }, 18_000],
    ["the log passes the subscriber twice", { ...base, epochs: 1, changes: 3 }, 100_000],
    ["the log holds two changes", { ...base, ring: 2, epochs: 1, changes: 3, reads: 0 }, 1_000],
    ["two frames are under way", { ...base, epochs: 1, frames: 2 }, 25_000],
    ["two reads are under way", { ...base, epochs: 1, disconnects: 0, reads: 2 }, 20_000],
  ])("when %s", (_, scope, statesMin) => {
    const { labels } = expectHolds(subscriptionModel(scope), statesMin);
    expect(labels).toContain("the client applies a Batch up to 1");
    expect(labels).toContain("the room is purged");
  });
});

describe("each rule of subscriptions is there for a reason", () => {
  it.each<[string, keyof SubscriptionRules, string]>([
    ["a near cache that stores a reply after checking only its epoch", "replyChecked", "I2"],
    ["a near cache that stores a reply of another epoch", "replyEpoch", "I2"],
    ["a Reset that does not count against replies under way", "resetNamesAll", "I2"],
    ['resuming without the "older than the ring" check', "resumeTooOld", "I3"],
    ['resuming without the "older than the ring" check', "resumeTooOld", "I2"],
    ["resuming without the epoch check", "resumeEpoch", "I2"],
    ["no Reset for a subscriber that the log has passed", "cursorTooOld", "I3"],
    ["no Reset for a subscriber that the log has passed", "cursorTooOld", "I2"],
    ["a subscriber registered after its position was taken", "registerAtOnce", "I3"],
    ["a subscriber registered after its position was taken", "registerAtOnce", "I2"],
    ["a reply's position taken after the lookup", "positionFirst", "I2"],
    ["Progress that names the head of the log", "progressOfCursor", "I4"],
    ["Progress that names the head of the log", "progressOfCursor", "I2"],
  ])("with %s, without the rule %s, breaks %s", (_, rule, invariant) => {
    expectBreaks(subscriptionModel(base, { [rule]: false }), invariant, 12);
  });

  it("breaks I2 with a near cache that stores a reply unchecked", () => {
    expectBreaks(
      subscriptionModel(base, { replyChecked: false, replyEpoch: false, resetNamesAll: false }),
      "I2",
      12,
    );
  });
});
