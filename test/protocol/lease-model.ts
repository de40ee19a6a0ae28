import type { Model, Step } from "./explore.js";
import {
  LEASE_RULES,
  type LeaseRules,
  type LeaseScope,
  type Leases,
  nearSettledTicks,
  settledTicks,
} from "./lease-rules.js";
import * as sidecar from "./lease-sidecar.js";
import {
  CURRENT,
  commitToDatabase,
  INITIAL,
  keyOf,
  type LeaseState,
  type Message,
  mapCopies,
  mapTokens,
  NO_COPY,
} from "./lease-state.js";
import { processSteps, send } from "./lease-writer.js";

/**
 * A sidecar, one writer's name and the processes that run under it one after the
 * other, a reader that fills the cache, a worker with a near cache, and a clock.
 * Whatever can happen may be delayed for ever: calls, replies, the processes
 * themselves, the database's answer to a COMMIT.
 */
export function leaseModel(scope: LeaseScope, broken: Partial<LeaseRules> = {}): Model<LeaseState> {
  const leases: Leases = { scope, rules: { ...LEASE_RULES, ...broken } };
  return {
    initial: INITIAL,
    next: (state) => [
      ...processSteps(leases, state),
      ...networkSteps(leases, state),
      ...readerSteps(leases, state),
      ...(scope.near ? nearSteps(leases, state) : []),
      ...surroundings(leases, state),
    ],
    key: keyOf,
    invariants: {
      I12: (state) => {
        const { entry } = state.sidecar;
        if (entry < settledTicks(scope) || !sidecar.hits(leases, state)) return undefined;
        return `GetEvents serves what a change outdated ${entry} ticks ago, two leases are ${settledTicks(scope)}`;
      },
      "I12 for near caches": ({ near }) => {
        if (near.copy < nearSettledTicks(scope) || near.silence >= scope.leaseTicks) return undefined;
        return `a near cache serves what a change outdated ${near.copy} ticks ago`;
      },
    },
  };
}

function networkSteps(leases: Leases, state: LeaseState): Step<LeaseState>[] {
  return state.network.flatMap((message, index) => {
    const without = { ...state, network: state.network.toSpliced(index, 1) };
    return [
      { label: `${NAMES[message.kind]} is lost`, state: without },
      { label: `${NAMES[message.kind]} arrives`, state: arrive(leases, without, message) },
    ];
  });
}

const NAMES: Record<Message["kind"], string> = {
  renewal: "a renewal",
  grant: "the reply to a renewal",
  release: "a release",
  releaseUnleased: "a release without a token",
};

function arrive(leases: Leases, state: LeaseState, { kind, token, awaited }: Message): LeaseState {
  switch (kind) {
    case "renewal": {
      const [after, issued] = sidecar.renew(leases, state, token);
      return awaited ? send(after, { kind: "grant", token: issued, awaited }) : after;
    }
    case "grant": {
      const { process } = state;
      const attached = process.phase === "fresh" || !leases.rules.attachedFromAsking;
      return { ...state, process: { ...process, token, phase: attached ? "attached" : process.phase } };
    }
    case "release":
      return sidecar.release(leases, state, token);
    case "releaseUnleased":
      return sidecar.releaseUnleased(leases, state);
  }
}

function readerSteps(leases: Leases, state: LeaseState): Step<LeaseState>[] {
  const { reader } = state;
  const to = (next: LeaseState, changed: Partial<LeaseState["reader"]>): LeaseState => ({
    ...next,
    reader: { ...next.reader, ...changed },
  });
  switch (reader.phase) {
    case "idle": {
      const asked = sidecar.judged(leases, state);
      const usable = asked.reader.declared || !leases.rules.declareFirst;
      const steps: Step<LeaseState>[] = [];
      if (usable)
        steps.push({
          label: "the reader misses and gets the position",
          state: to(asked, { phase: "positioned" }),
        });
      if (!reader.declared)
        steps.push({
          label: "the reader sees a new epoch and declares the writer",
          state: sidecar.declare(leases, state),
        });
      return steps;
    }
    case "positioned":
      return [
        {
          label: "the reader reads the event in the database",
          state: to(state, { phase: "read", copy: CURRENT }),
        },
      ];
    case "read":
      return [{ label: "the reader's put arrives", state: sidecar.put(leases, state) }];
  }
}

function nearSteps(leases: Leases, state: LeaseState): Step<LeaseState>[] {
  const at = sidecar.judgedAtFrame(leases, state);
  const heard = { ...at.near, copy: at.near.outdated ? NO_COPY : at.near.copy, outdated: false, silence: 0 };
  const steps: Step<LeaseState>[] = [
    { label: "the worker hears from its subscription", state: { ...at, near: heard } },
  ];
  const read = sidecar.judged(leases, state);
  if (state.near.silence < leases.scope.leaseTicks && sidecar.hits(leases, read)) {
    const near = { ...read.near, copy: read.sidecar.entry, outdated: false };
    steps.push({ label: "the worker reads the event and keeps it", state: { ...read, near } });
  }
  return steps;
}

/** What nobody does: time, failures of the sidecar, its operator, and the COMMIT of a dead process. */
function surroundings(leases: Leases, state: LeaseState): Step<LeaseState>[] {
  const { sidecar: held, process, straggler, network } = state;
  const steps: Step<LeaseState>[] = [
    { label: "a tick passes", state: tick(leases, state) },
    { label: "the sidecar restarts", state: sidecar.restart(state) },
  ];
  if (!leases.rules.judgedAtCall)
    steps.push({ label: "the sidecar's timer fires", state: sidecar.expired(leases, state) });
  if (straggler) {
    const ended = { ...state, straggler: false };
    steps.push({ label: "the dead process's COMMIT reaches the database", state: commitToDatabase(ended) });
    steps.push({ label: "the dead process's transaction is rolled back", state: ended });
  }
  const ended = process.phase === "gone" && !(straggler && leases.rules.releasedWriterEnded);
  if (ended && network.length < leases.scope.messagesMax) {
    const release = (kind: "release" | "releaseUnleased", age: number): Step<LeaseState> => ({
      label: "the operator releases the dead writer",
      state: send(state, { kind, token: { age, newest: false }, awaited: false }),
    });
    if (held.lease === "lapsed") steps.push(release("release", leases.scope.leaseTicks));
    if (held.lease === "none" && held.declared) steps.push(release("releaseUnleased", -1));
  }
  return steps;
}

/** Every age grows, up to where it makes no more difference. */
function tick({ scope }: Leases, state: LeaseState): LeaseState {
  const { leaseTicks } = scope;
  const older = (age: number, max: number) => (age < 0 ? age : Math.min(age + 1, max));
  const copyMax = scope.near ? nearSettledTicks(scope) : settledTicks(scope);
  const aged = mapCopies(
    mapTokens(state, (token) => ({ ...token, age: older(token.age, leaseTicks) })),
    (copy) => older(copy, copyMax),
  );
  const { sidecar: held, process, near } = aged;
  const { transaction } = process;
  return {
    ...aged,
    sidecar: { ...held, leaseAge: held.lease === "live" ? older(held.leaseAge, leaseTicks) : 0 },
    process: {
      ...process,
      transaction: transaction && {
        ...transaction,
        pendingAge: older(transaction.pendingAge, leaseTicks / 2),
        replyAge: older(transaction.replyAge, settledTicks(scope)),
      },
    },
    near: { ...near, silence: scope.near ? older(near.silence, leaseTicks) : 0 },
  };
}
