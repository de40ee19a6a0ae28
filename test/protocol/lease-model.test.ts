import { describe, expect, it } from "vitest";
import { expectBreaks, expectHolds, walk } from "./expectations.js";
import { leaseModel } from "./lease-model.js";
import { type LeaseRules, type LeaseScope, settledTicks } from "./lease-rules.js";
import { CURRENT, NO_COPY } from "./lease-state.js";

const base: LeaseScope = { leaseTicks: 2, messagesMax: 1, near: false };
const I12 = "I12";
const I12_NEAR = "I12 for near caches";

describe("with all rules of writer leases, I12 holds", () => {
  it.each<[string, LeaseScope, Partial<LeaseRules>, number]>([
    ["two messages are under way", { ...base, messagesMax: 2 }, {}, 40_000],
    ["only the newest token renews", { ...base, messagesMax: 2 }, { anyTokenRenews: false }, 45_000],
    ["a lease has four ticks", { ...base, leaseTicks: 4 }, {}, 20_000],
    ["a worker has a near cache", { ...base, near: true }, {}, 70_000],
  ])("when %s", (_, scope, rules, statesMin) => {
    const { labels } = expectHolds(leaseModel(scope, rules), statesMin);
    expect(labels).toContain("the process detaches");
    expect(labels).toContain("the dead process's COMMIT reaches the database");
    expect(labels).toContain("the reader's put arrives");
  });
});

describe("each rule of writer leases is there for a reason", () => {
  it.each<[string, keyof LeaseRules, string, LeaseScope]>([
    ["no new epoch on entering suspension", "epochOnEntering", I12_NEAR, { ...base, near: true }],
    ["no new epoch on leaving suspension", "epochOnLeaving", I12, base],
    ["a lease that runs from a renewal's arrival", "leaseFromToken", I12, { ...base, leaseTicks: 6 }],
    ["a new process that continues the old one's lease", "newProcessEndsLease", I12, base],
    ["a release that names no lease", "releaseNamesLease", I12, { ...base, messagesMax: 2 }],
    ["a client that uses the reply in which it first sees an epoch", "declareFirst", I12, base],
    ["a lease judged by a timer alone", "judgedAtCall", I12, base],
    ["a frame sent without judging the lease", "judgedAtFrame", I12_NEAR, { ...base, near: true }],
    ["a renewal while a change is pending for long", "pendingStopsRenewal", I12, base],
    ["a change that is pending only from COMMIT's reply", "pendingFromSend", I12, base],
    ["a renewal during a transaction begun detached", "detachedTransactionsEnd", I12, base],
    ["a detached writer that keeps its token", "detachedForgetsLease", I12, base],
    ["a writer detached until its renewal is answered", "attachedFromAsking", I12, base],
    ["changes before the first lease is granted", "grantedFirst", I12, base],
    ["a first lease while the predecessor's COMMIT is under way", "predecessorEnded", I12, base],
    ["a release of a dead writer whose COMMIT is under way", "releasedWriterEnded", I12, base],
    ["a release while an announcement is owed", "owesNothing", I12, base],
  ])("with %s, without the rule %s, breaks %s", (_, rule, invariant, scope) => {
    expectBreaks(leaseModel(scope, { [rule]: false }), invariant, 36);
  });
});

const renewal = [
  [1, "the process sends a renewal"],
  [1, "a renewal arrives"],
  [1, "the reply to a renewal arrives"],
] as const;

const start = [[1, "a new process starts"], ...renewal] as const;

const fill = [
  [1, "the reader sees a new epoch and declares the writer"],
  [1, "the reader misses and gets the position"],
  [1, "the reader reads the event in the database"],
  [1, "the reader's put arrives"],
] as const;

describe("a renewal whose reply is lost", () => {
  const story = [
    ...start,
    ...fill,
    [1, "the process sends a renewal"],
    [1, "a renewal arrives"],
    [1, "the reply to a renewal is lost"],
    ...renewal,
  ] as const;

  it("costs nothing if any token of the live lease renews it", () => {
    expect(walk(leaseModel(base), story).sidecar.entry).toBe(CURRENT);
  });

  it("costs every entry if only the newest token does", () => {
    expect(walk(leaseModel(base, { anyTokenRenews: false }), story).sidecar.entry).toBe(NO_COPY);
  });
});

describe("a near cache that hears nothing any more", () => {
  it("may serve what it holds beyond the two leases of I12", () => {
    const scope: LeaseScope = { leaseTicks: 6, messagesMax: 1, near: true };
    const { near } = walk(leaseModel(scope), [
      ...start,
      ...fill,
      [1, "the worker reads the event and keeps it"],
      [1, "the process begins a transaction"],
      [1, "the process sends COMMIT"],
      [1, "COMMIT reaches the database"],
      [2, "a tick passes"],
      ...renewal,
      [1, "the process sends a renewal"],
      [1, "a renewal arrives"],
      [5, "a tick passes"],
      [1, "the worker hears from its subscription"],
      [5, "a tick passes"],
    ]);
    expect(near.copy).toBe(settledTicks(scope));
    expect(near.silence).toBeLessThan(scope.leaseTicks);
  });
});
