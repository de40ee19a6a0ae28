import { describe, expect, it, vi } from "vitest";
import { expectBreaks, expectHolds, LARGE, WALK_TIMEOUT_MS } from "../expectations.js";
import { outboxModel } from "./outbox-model.js";
import type { OutboxRules, OutboxScope } from "./outbox-rules.js";

vi.setConfig({ testTimeout: WALK_TIMEOUT_MS });

const base: OutboxScope = {
  processes: ["writer", "reader"],
  sidecars: 1,
  commits: 1,
  straggler: false,
  returns: false,
  gate: 2,
  age: 2,
  reply: 1,
  near: 1,
  deaths: 0,
  sidecarDeaths: 0,
  registrations: 0,
  newEpochs: 0,
  failovers: 0,
  oldPrimary: false,
};
/** One process, and a COMMIT whose process is gone. */
const orphan: OutboxScope = { ...base, processes: ["reader"], straggler: true };
const quick: OutboxScope = { ...orphan, gate: 1, age: 1 };
const near: OutboxScope = { ...quick, processes: ["near"] };
const rollout: OutboxScope = { ...quick, sidecars: 2, registrations: 1 };
const failover: OutboxScope = { ...quick, failovers: 1, oldPrimary: true, newEpochs: 1 };
const I12 = "I12";
const I12_NEAR = "I12 for near caches";
const I1 = "I1 for writes that have returned";

describe("with all rules of the outbox, the bound holds", () => {
  it.each<[string, OutboxScope, number]>([
    ["a writer and a reader run", base, 11_000],
    ["A is longer than G", { ...base, gate: 1 }, 8_000],
    ["G is longer than A", { ...base, age: 1 }, 10_000],
    ["replies are used for two ticks", { ...base, gate: 1, age: 1, reply: 2 }, 5_000],
    ["processes die", { ...base, gate: 1, age: 1, deaths: 1 }, 9_000],
    ["writes return to their users", { ...base, gate: 1, returns: true }, 10_000],
    ["a near cache keeps replies", near, 4_000],
    ["the epoch of another sidecar is registered", rollout, 20_000],
    ["the database fails over and its old primary still answers", failover, 10_000],
  ])("when %s", (_, scope, statesMin) => {
    const { labels } = expectHolds(outboxModel(scope), statesMin);
    expect(labels).toContain(
      "sidecar 1 answers process 1 with version 0".replace("1 with", `${scope.processes.length} with`),
    );
  });
});

// They take minutes: without being asked for they are no tests at all, rather than skipped ones.
if (LARGE)
  describe("with all rules of the outbox, the bound holds in large scopes", () => {
    it.each<[string, OutboxScope, number]>([
      [
        "two sidecars overlap during a rollout with a writer",
        { ...rollout, processes: ["writer", "reader"], straggler: false },
        170_000,
      ],
      ["two processes overlap two sidecars", { ...rollout, processes: ["reader", "reader"] }, 500_000],
      ["a near cache keeps replies", { ...near, processes: ["writer", "near"], straggler: false }, 30_000],
      ["two processes read and relay", { ...quick, processes: ["reader", "reader"] }, 90_000],
      ["a superseded sidecar is the only one left", { ...rollout, sidecarDeaths: 1, newEpochs: 1 }, 100_000],
      [
        "a sidecar begins a new epoch at any time",
        { ...orphan, sidecars: 2, registrations: 1, newEpochs: 1 },
        200_000,
      ],
      ["the database fails over, G and A of two ticks", { ...failover, gate: 2, age: 2 }, 200_000],
      ["processes die and two commits are made", { ...base, deaths: 1, commits: 2 }, 100_000],
    ])("when %s", (_, scope, statesMin) => {
      expectHolds(outboxModel(scope), statesMin);
    });
  });

describe("each rule of the outbox is there for a reason", () => {
  it.each<[string, keyof OutboxRules, string, OutboxScope]>([
    ["O1: a row in a transaction of its own", "rowInTransaction", I12, { ...base, deaths: 1 }],
    [
      "O1: IDs that are used again",
      "idsAreFresh",
      I12,
      { ...base, gate: 1, age: 1, commits: 2, straggler: true },
    ],
    [
      "O2: an announcement before COMMIT's reply that permits deletion",
      "announcesAfterReply",
      I12,
      { ...base, gate: 1, age: 1 },
    ],
    [
      "O3: a poll that shows some rows and counts",
      "pollsShowAll",
      I12,
      { ...base, gate: 1, age: 1, commits: 2, straggler: true },
    ],
    ["O3: a poll as young as its reply", "pollFromSend", I12, orphan],
    ["O4: a row as young as the first poll that showed it", "ageFromAbsence", I12, orphan],
    ["O4: a row that is deleted before its announcement", "deletesAfterOk", I12, orphan],
    ["O5: a gate that does not close when polls lapse", "pollYoung", I12, orphan],
    ["O5: a gate that does not look at the rows", "rowsYoung", I12, orphan],
    ["O5: a gate that is judged at polls alone", "judgedAlways", I12, orphan],
    ["O6: a gate that is judged when a reply is used", "judgedWhenSent", I12, orphan],
    ["O6: a reply that is used later", "replyYoung", I12, orphan],
    ["O7: a write that returns at once", "returnsLate", I1, { ...base, returns: true }],
    ["O8: no generation", "generationCompared", I12, failover],
    ["O8: a restored database with the old generation", "restoreShows", I12, failover],
    ["O8: a fill from the old primary", "fillsOfGeneration", I12, failover],
    ["O9: a reply of another epoch", "usesRegistered", I12, rollout],
    ["O9: a fill with a position from before its epoch was registered", "fillsRegistered", I12, rollout],
    ["O9: a row that is deleted whatever is registered", "deletesRegistered", I12, rollout],
    [
      "O9: a superseded epoch that is registered again",
      "supersededStays",
      I12,
      { ...rollout, registrations: 2 },
    ],
    ["O10: polls of a lagging replica", "pollsPrimary", I12, orphan],
    ["O10: fills from a lagging replica", "fillsPrimary", I12, orphan],
    ["a near cache that asks for no position", "nearNeedsProof", I12_NEAR, near],
    ["a near cache that asks while its gate is closed", "nearProofOpen", I12_NEAR, { ...near, near: 2 }],
    ["a near cache that asked long ago", "nearProofYoung", I12_NEAR, near],
  ])("breaks the bound with %s", (_, rule, invariant, scope) => {
    expectBreaks(outboxModel(scope, { [rule]: false }), invariant, 20);
  });
});
