import { describe, expect, it, vi } from "vitest";
import { expectBreaks, expectHolds, LARGE, WALK_TIMEOUT_MS } from "../expectations.js";
import { logModel } from "./log-model.js";
import type { LogRules, LogScope } from "./log-rules.js";

vi.setConfig({ testTimeout: WALK_TIMEOUT_MS });

const base: LogScope = {
  sidecars: ["member", "answers"],
  writers: ["invalidate"],
  retries: 0,
  ring: 2,
  time: true,
  lease: 1,
  drift: 0,
  tier: false,
  promotions: 0,
  restores: 0,
  crashes: 0,
  behind: false,
  deaths: 0,
  leaves: 0,
  rejoins: 0,
  ghosts: 0,
};
/** What does not depend on leases, without the states that clocks have. */
const still: LogScope = { ...base, time: false };
const alone: LogScope = { ...still, sidecars: ["both"] };

describe("with all rules of the log, I1 holds", () => {
  it.each<[string, LogScope, number]>([
    ["a lease has two ticks", { ...base, lease: 2 }, 24_000],
    ["a sidecar's clock loses a tick in each lease", { ...base, drift: 1 }, 20_000],
    ["a sidecar joins anew while it is a member", { ...base, rejoins: 1 }, 60_000],
    ["a sidecar dies", { ...still, deaths: 1 }, 500],
    ["the database crashes and recovers", { ...base, crashes: 1 }, 27_000],
    ["a tier returns anything that was ever put there", { ...base, tier: true }, 35_000],
    [
      "a sidecar leaves and the log is short",
      { ...still, writers: ["invalidate", "other"], ring: 1, leaves: 1 },
      30_000,
    ],
    ["a new epoch begins by PurgeHomeserver", { ...still, writers: ["invalidate", "newEpoch"] }, 15_000],
    ["two Set… race at one sidecar", { ...alone, writers: ["set", "set"] }, 30_000],
    ["a Set… meets a new epoch", { ...alone, writers: ["set", "newEpoch"], ring: 1 }, 20_000],
    [
      "two members fill each other's cache over a tier",
      { ...still, sidecars: ["both", "member"], writers: ["set"], tier: true },
      18_000,
    ],
  ])("when %s", (_, scope, statesMin) => {
    const { labels } = expectHolds(logModel(scope), statesMin);
    expect(labels).toContain("sidecar 1 takes the filler's put");
  });
});

// They take minutes: without being asked for they are no tests at all, rather than skipped ones.
if (LARGE)
  describe("with all rules of the log, I1 holds in large scopes", () => {
    it.each<[string, LogScope, number]>([
      ["the database is promoted", { ...base, promotions: 1 }, 150_000],
      [
        "a snapshot is restored, between two changes",
        { ...still, restores: 1, writers: ["invalidate", "other"] },
        150_000,
      ],
      ["a sidecar dies", { ...base, deaths: 1 }, 60_000],
      ["a lease has two ticks, a clock loses one", { ...base, lease: 2, drift: 1 }, 85_000],
      ["a sidecar leaves, and a request of it is late", { ...base, leaves: 1, ghosts: 1 }, 150_000],
      [
        "a Set… and a change race over a tier",
        { ...alone, writers: ["set", "invalidate"], tier: true },
        150_000,
      ],
      ["a Set… is repeated", { ...alone, writers: ["set", "invalidate"], retries: 1 }, 150_000],
      [
        "requests of two epochs are late",
        { ...still, writers: ["newEpoch", "invalidate"], ghosts: 1 },
        100_000,
      ],
      ["two members have clocks", { ...base, sidecars: ["both", "member"] }, 500_000],
    ])("when %s", (_, scope, statesMin) => {
      expectHolds(logModel(scope), statesMin);
    });
  });

describe("each rule of the log is there for a reason", () => {
  it.each<[string, keyof LogRules, LogScope]>([
    ["M1: a join that keeps the cache", "joinDropsCache", { ...base, rejoins: 1 }],
    ["M1: a join that keeps the lease", "joinEndsLease", { ...base, rejoins: 1 }],
    ["M1: one member ID for every join", "freshId", { ...base, leaves: 1, ghosts: 1 }],
    ["M1, M10: an enrolment that does not lock the head", "enrolLocksHead", { ...still, leaves: 1 }],
    ["M2: reads without a lease", "readsNeedLease", base],
    ["M2: a lease that runs from its reply", "leaseFromSend", { ...base, lease: 2 }],
    ["M2: a lease judged by a timer alone", "judgedAtRead", base],
    ["M2: a clock that stops with the machine", "clockCountsSuspend", base],
    ["M2: an expelled member that goes on", "expelledDrops", base],
    ["M3: an answer that waits for nobody", "waitsForMembers", base],
    ["M3: an answer that does not wait for its own sidecar", "waitsForItself", alone],
    ["M3: W as long as L where clocks drift", "waitCoversDrift", { ...base, drift: 1 }],
    ["M3: W from the sending of a poll", "waitFromReceipt", { ...base, lease: 2 }],
    ["M3: expelling a member that has renewed", "expelNamesCounter", { ...base, lease: 2 }],
    ["M3: W that goes on over a crash of the database", "waitRestarts", { ...base, lease: 2, crashes: 1 }],
    [
      "M3: a call that joins a change appended before it",
      "batchBeforeAppend",
      { ...still, writers: ["invalidate", "invalidate"] },
    ],
    ["M4: a report before the change is applied", "appliesThenReports", base],
    [
      "M4: a value written through past another change",
      "throughIsFenced",
      { ...alone, writers: ["set", "set"] },
    ],
    [
      "M4: a value with an as_of of another epoch",
      "throughReaches",
      { ...alone, writers: ["set", "newEpoch"], ring: 1 },
    ],
    ["M4: a value written through later", "throughInStep", { ...alone, writers: ["set", "invalidate"] }],
    [
      "M4: a value sent to the tier as of now",
      "tierGetsChange",
      { ...alone, writers: ["set", "invalidate"], tier: true },
    ],
    [
      "M4: a retry with a new as_of",
      "retryKeepsAsOf",
      { ...alone, writers: ["set", "invalidate"], retries: 1 },
    ],
    ["M5: no fence", "fence", base],
    [
      'M5: no "older than the copy" check',
      "fenceReaches",
      { ...base, writers: ["invalidate", "other"], ring: 1 },
    ],
    ["M5: no epoch check", "fenceEpoch", { ...base, writers: ["newEpoch"] }],
    ["M6: a tier that is trusted", "tierIsFenced", { ...base, tier: true }],
    ["M6: a write-back as of now", "writeBackWithLookup", { ...base, tier: true }],
    ["M8: a gap that is ignored", "gapDrops", { ...base, writers: ["invalidate", "other"], ring: 1 }],
    [
      "M9: no incarnation",
      "incarnationCompared",
      { ...still, promotions: 1, writers: ["invalidate", "other"] },
    ],
    [
      "M9: an incarnation without the start time",
      "startTimeCounts",
      { ...still, restores: 1, writers: ["invalidate", "other"] },
    ],
    [
      "M9: a new incarnation in the old epoch",
      "newEpochs",
      { ...base, promotions: 1, behind: true, rejoins: 1 },
    ],
    ["M9: an answer before old leases are over", "waitsForOldLeases", { ...base, promotions: 1 }],
    ["M10: expelling from one homeserver alone", "expelDeletesMember", base],
    [
      "M10: going on after an enrolment that may be late",
      "enrolOnce",
      { ...still, ghosts: 1, writers: ["newEpoch", "invalidate"] },
    ],
    ["M10: leaving before the cache is dropped", "leaveDropsFirst", { ...still, leaves: 1 }],
  ])("breaks I1 with %s", (_, rule, scope) => {
    expectBreaks(logModel(scope, { [rule]: false }), "I1", 20);
  });

  it("leaves a position that holds up every change with M10: enrolling without a member's row", () => {
    const scope: LogScope = { ...base, writers: ["newEpoch", "other"] };
    expectBreaks(logModel(scope, { enrolNeedsMember: false }), "no orphan", 12);
  });
});
