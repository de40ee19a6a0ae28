import { describe, expect, it, vi } from "vitest";
import {
  expectBreaks,
  expectHolds,
  expectStoryBreaks,
  LARGE,
  WALK_TIMEOUT_MS,
  walk,
} from "./expectations.js";
import { outboxModel } from "./outbox-model.js";
import { usable } from "./outbox-read.js";
import { OUTBOX_RULES, type OutboxRules, type OutboxScope } from "./outbox-rules.js";

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
    ["a near cache keeps replies", { ...near, processes: ["writer", "near"], straggler: false }, 30_000],
    ["the epoch of another sidecar is registered", rollout, 20_000],
    ["the database fails over and its old primary still answers", failover, 10_000],
  ])("when %s", (_, scope, statesMin) => {
    const { labels } = expectHolds(outboxModel(scope), statesMin);
    expect(labels).toContain(
      "sidecar 1 answers process 1 with version 0".replace("1 with", `${scope.processes.length} with`),
    );
  });
});

describe.runIf(LARGE)("with all rules of the outbox, the bound holds in large scopes", () => {
  it.each<[string, OutboxScope, number]>([
    [
      "two sidecars overlap during a rollout with a writer",
      { ...rollout, processes: ["writer", "reader"], straggler: false },
      170_000,
    ],
    ["two processes overlap two sidecars", { ...rollout, processes: ["reader", "reader"] }, 500_000],
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

  const poll = (process: number) =>
    [
      [1, `process ${process} polls the database`],
      [1, `process ${process} hears the result of its poll`],
    ] as const;
  const read = (process: number, sidecar: number) =>
    [
      [1, `process ${process} misses and gets the position of sidecar ${sidecar}`],
      [1, `process ${process} reads version 0 in the database`],
    ] as const;
  const commit = [
    [1, "process 1 sends COMMIT, with row 1"],
    [1, "process 1's COMMIT reaches the database"],
    [1, "process 1 hears that it has committed"],
  ] as const;
  const announce = (sidecar: number) =>
    [
      [1, `process 1 announces row 1 at sidecar ${sidecar}`],
      [1, "process 1 hears OK to its announcement of row 1"],
    ] as const;
  const lookUp = (process: number, sidecar: number, version: number) =>
    [
      [1, `process ${process} sends a lookup`],
      [1, `sidecar ${sidecar} answers process ${process} with version ${version}`],
    ] as const;
  const overlap: OutboxScope = { ...rollout, processes: ["both", "reader"], straggler: false };
  const put = (process: number, sidecar: number) =>
    [1, `process ${process}'s put takes effect at sidecar ${sidecar}`] as const;

  it.each<[string, keyof OutboxRules, string, OutboxScope, (readonly [number, string])[]]>([
    [
      "O8: a purge for a new generation that begins no new epoch",
      "generationNewEpoch",
      I12,
      { ...failover, processes: ["reader", "reader"] },
      [
        [1, "the standby receives no more"],
        ...poll(2),
        [1, "a COMMIT that nobody waits for reaches the database"],
        [1, "the standby is promoted"],
        ...poll(1),
        [1, "process 1 purges for the new generation at sidecar 1"],
        [1, "process 1 hears OK to its purge"],
        [1, "process 1 writes down that its purge is done"],
        [1, "process 2 misses and gets the position of sidecar 1"],
        [1, "process 2 reads version 1 in the old primary"],
        put(2, 1),
        [2, "a tick passes"],
        ...poll(2),
        ...lookUp(2, 1, 1),
      ],
    ],
    [
      "O9: a process that counts what it announced in another epoch",
      "forgetsAnnounced",
      I12,
      overlap,
      [
        [1, "process 2 registers the epoch of sidecar 2"],
        ...poll(2),
        ...read(2, 2),
        ...commit,
        ...announce(1),
        put(2, 2),
        [2, "a tick passes"],
        ...poll(1),
        ...lookUp(1, 2, 0),
      ],
    ],
    [
      "O9: an OK that counts although its epoch has just been registered",
      "okWaits",
      I1,
      { ...overlap, returns: true },
      [
        ...poll(2),
        ...read(2, 1),
        put(2, 1),
        [1, "process 1 registers the epoch of sidecar 2"],
        ...poll(1),
        ...commit,
        ...announce(2),
        [1, "process 1 writes down that its announcement of row 1 is done"],
        [1, "process 1's write returns to its user"],
        ...lookUp(2, 1, 0),
      ],
    ],
    [
      "O9: an OK that counts although its row is not deleted",
      "okNeedsDeletion",
      I1,
      { ...overlap, returns: true },
      [
        [1, "process 2 registers the epoch of sidecar 2"],
        ...poll(2),
        ...read(2, 2),
        put(2, 2),
        ...commit,
        ...announce(1),
        [1, "process 1's write returns to its user"],
        ...lookUp(2, 2, 0),
      ],
    ],
  ])("breaks the bound, by a story, with %s", (_, rule, invariant, scope, story) => {
    expectStoryBreaks(outboxModel(scope, { [rule]: false }), outboxModel(scope), invariant, story);
  });
});

describe("a superseded sidecar that is the only one left", () => {
  it("is used again after PurgeHomeserver with a new epoch", () => {
    const scope: OutboxScope = { ...rollout, sidecarDeaths: 1, newEpochs: 1 };
    const { processes } = walk(outboxModel(scope), [
      [1, "process 1 registers the epoch of sidecar 2"],
      [1, "sidecar 2 is gone"],
      [1, "process 1 polls the database"],
      [1, "process 1 hears the result of its poll"],
      [1, "process 1 begins a new epoch at sidecar 1"],
      [1, "process 1 hears OK to its purge"],
      [1, "process 1 writes down that its purge is done"],
      [1, "process 1 polls the database"],
      [1, "process 1 hears the result of its poll"],
      [1, "process 1 misses and gets the position of sidecar 1"],
      [1, "process 1 reads version 0 in the database"],
      [1, "process 1's put takes effect at sidecar 1"],
      [1, "process 1 sends a lookup"],
      [1, "sidecar 1 answers process 1 with version 0"],
    ]);
    expect(usable({ scope, rules: OUTBOX_RULES }, processes[0]!)).toBe(true);
  });
});
