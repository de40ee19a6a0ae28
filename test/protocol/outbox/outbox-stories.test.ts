import { describe, expect, it } from "vitest";
import { expectStoryBreaks, walk } from "../expectations.js";
import { outboxModel } from "./outbox-model.js";
import { usable } from "./outbox-read.js";
import { OUTBOX_RULES, type OutboxRules, type OutboxScope } from "./outbox-rules.js";

const base: OutboxScope = {
  processes: ["both", "reader"],
  sidecars: 2,
  commits: 1,
  straggler: false,
  returns: false,
  gate: 1,
  age: 1,
  reply: 1,
  near: 1,
  deaths: 0,
  sidecarDeaths: 0,
  registrations: 1,
  newEpochs: 0,
  failovers: 0,
  oldPrimary: false,
};
const I12 = "I12";
const I1 = "I1 for writes that have returned";

const failover: OutboxScope = {
  ...base,
  processes: ["reader", "reader"],
  sidecars: 1,
  straggler: true,
  registrations: 0,
  newEpochs: 1,
  failovers: 1,
  oldPrimary: true,
};

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
const put = (process: number, sidecar: number) =>
  [1, `process ${process}'s put takes effect at sidecar ${sidecar}`] as const;

describe("rules of the outbox that need two readers", () => {
  it.each<[string, keyof OutboxRules, string, OutboxScope, (readonly [number, string])[]]>([
    [
      "O8: a purge for a new generation that begins no new epoch",
      "generationNewEpoch",
      I12,
      failover,
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
      base,
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
      { ...base, returns: true },
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
      { ...base, returns: true },
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
  ])("breaks the bound with %s", (_, rule, invariant, scope, story) => {
    expectStoryBreaks(outboxModel(scope, { [rule]: false }), outboxModel(scope), invariant, story);
  });
});

describe("a superseded sidecar that is the only one left", () => {
  it("is used again after PurgeHomeserver with a new epoch", () => {
    const scope: OutboxScope = { ...base, processes: ["reader"], sidecarDeaths: 1, newEpochs: 1 };
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
