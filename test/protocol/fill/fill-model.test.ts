import { describe, expect, it } from "vitest";
import { expectBreaks, expectHolds } from "../expectations.js";
import { fillModel } from "./fill-model.js";
import type { Change, FillRules, FillScope } from "./fill-rules.js";

const redact1: Change = { call: "set", event: 0, part: 0 };
const redact2: Change = { call: "set", event: 1, part: 0 };
const redact1WithoutAsOf: Change = { call: "setOnly", event: 0, part: 0 };
const reject1: Change = { call: "set", event: 0, part: 1 };
const invalidate1: Change = { call: "invalidate", event: 0 };
const purgeRoom: Change = { call: "purgeRoom" };

const base: FillScope = { ring: 2, events: 1, writers: [redact1, redact1], readers: [0], restarts: 1 };

describe("with all rules of writes, I1 and I5 hold", () => {
  it.each<[string, FillScope, number]>([
    ["two writers race for one event's redaction", { ...base, readers: [0, 0] }, 35_000],
    ["one of two writers has no as_of", { ...base, writers: [redact1, redact1WithoutAsOf] }, 3_500],
    [
      "a room is purged while one of its events is redacted",
      { ...base, events: 2, writers: [redact1, purgeRoom], readers: [0, 1], restarts: 0 },
      20_000,
    ],
    [
      "redaction, rejection and another change of one event race",
      { ...base, writers: [redact1, reject1, invalidate1], restarts: 0 },
      19_000,
    ],
    [
      "the log holds a single change",
      { ...base, ring: 1, events: 2, writers: [redact1, redact2], readers: [0, 1], restarts: 0 },
      23_000,
    ],
  ])("when %s", (_, scope, statesMin) => {
    const { labels } = expectHolds(fillModel(scope), statesMin);
    expect(labels).toContain("reader 1's put takes effect again");
    expect(labels).toContain("event 1 is evicted");
  });
});

describe("each rule of writes is there for a reason", () => {
  it.each<[string, keyof FillRules, FillScope]>([
    ["no fence", "fence", base],
    ["no fence, for the events of a purged room", "fence", { ...base, events: 2, writers: [purgeRoom] }],
    ["the fence kept in the evictable entry", "fenceInLog", base],
    [
      'no "older than the ring" check',
      "tooOld",
      { ...base, ring: 1, events: 2, writers: [redact1, redact2] },
    ],
    ["no epoch check", "epoch", base],
    ["the value of a fenced Set… written instead of dropped", "dropFenced", base],
    ["a call before the commit only", "callAfterCommit", base],
    ["as_of taken after the database read", "asOfBeforeSnapshot", base],
  ])("breaks I1 with %s", (_, rule, scope) => {
    expectBreaks(fillModel(scope, { [rule]: false }), "I1", 10);
  });

  it.each<keyof FillRules>(["fence", "fenceInLog", "epoch"])("breaks I5 without the rule %s", (rule) => {
    expectBreaks(fillModel(base, { [rule]: false }), "I5", 8);
  });
});
