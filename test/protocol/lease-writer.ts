import type { Step } from "./explore.js";
import { type Leases, settledTicks } from "./lease-rules.js";
import { announce } from "./lease-sidecar.js";
import {
  commitToDatabase,
  FOREIGN,
  type LeaseState,
  type Message,
  type Process,
  type Transaction,
} from "./lease-state.js";

/** What the process that runs under the writer's name may do next, or the database to its COMMIT. */
export function processSteps(leases: Leases, state: LeaseState): Step<LeaseState>[] {
  const { process } = state;
  if (process.phase === "gone")
    return [{ label: "a new process starts", state: to(state, { phase: "fresh" }) }];
  return [
    ...leaseSteps(leases, state),
    ...(process.transaction === undefined
      ? beginSteps(leases, state)
      : transactionSteps(leases, state, process.transaction)),
    { label: "the process dies", state: die(state) },
  ];
}

/** The state with one more message under way. */
export function send(state: LeaseState, message: Message): LeaseState {
  return { ...state, network: [...state.network, message] };
}

function leaseSteps(leases: Leases, state: LeaseState): Step<LeaseState>[] {
  const { process, network } = state;
  if (network.length >= leases.scope.messagesMax) return [];
  const steps: Step<LeaseState>[] = [];
  if (mayRenew(leases, state)) {
    const phase =
      process.phase === "detached" && leases.rules.attachedFromAsking ? "attached" : process.phase;
    const asked = send(state, { kind: "renewal", token: process.token, awaited: true });
    steps.push({ label: "the process sends a renewal", state: to(asked, { phase }) });
  }
  const ended =
    process.transaction === undefined || (!leases.rules.owesNothing && process.transaction.phase !== "open");
  if (process.phase === "attached" && ended) {
    const released = send(gone(state), { kind: "release", token: process.token, awaited: false });
    steps.push({ label: "the process sends a release and ends", state: released });
  }
  return steps;
}

function mayRenew({ scope, rules }: Leases, { process, straggler }: LeaseState): boolean {
  const { phase, transaction } = process;
  if (phase === "fresh" && straggler && rules.predecessorEnded) return false;
  if (transaction === undefined) return true;
  if (!transaction.announces && rules.detachedTransactionsEnd) return false;
  return !rules.pendingStopsRenewal || transaction.pendingAge < scope.leaseTicks / 2;
}

function beginSteps({ rules }: Leases, state: LeaseState): Step<LeaseState>[] {
  const { phase } = state.process;
  if (phase === "fresh" && rules.grantedFirst) return [];
  const detached = phase === "detached";
  return [
    {
      label: detached ? "the process begins a transaction, detached" : "the process begins a transaction",
      state: transact(state, { phase: "open", announces: !detached, pendingAge: -1, replyAge: -1 }),
    },
  ];
}

function transactionSteps(leases: Leases, state: LeaseState, transaction: Transaction): Step<LeaseState>[] {
  const { announces } = transaction;
  const { pendingFromSend } = leases.rules;
  switch (transaction.phase) {
    case "open": {
      const pendingAge = announces && pendingFromSend ? 0 : -1;
      return [
        { label: "the process rolls its transaction back", state: transact(state, undefined) },
        {
          label: "the process sends COMMIT",
          state: transact(state, { ...transaction, phase: "sent", pendingAge }),
        },
      ];
    }
    case "sent": {
      const committed = transact(state, { ...transaction, phase: "committed" });
      return [{ label: "COMMIT reaches the database", state: commitToDatabase(committed) }];
    }
    case "committed": {
      const pendingAge = pendingFromSend ? transaction.pendingAge : 0;
      const replied: Transaction = { phase: "replied", announces, pendingAge, replyAge: 0 };
      return [{ label: "COMMIT's reply arrives", state: transact(state, announces ? replied : undefined) }];
    }
    case "replied": {
      const announced = transact(announce(leases, state), undefined);
      const steps = [{ label: "the process announces its change", state: announced }];
      if (transaction.replyAge < settledTicks(leases.scope)) return steps;
      return [...steps, { label: "the process detaches", state: detach(leases, state) }];
    }
  }
}

function detach(leases: Leases, state: LeaseState): LeaseState {
  const detached = to(transact(state, undefined), { phase: "detached" });
  return leases.rules.detachedForgetsLease ? forget(detached) : detached;
}

function die(state: LeaseState): LeaseState {
  const straggler = state.straggler || state.process.transaction?.phase === "sent";
  return { ...gone(state), straggler };
}

function gone(state: LeaseState): LeaseState {
  return to(forget(transact(state, undefined)), { phase: "gone" });
}

/** The process has no token and waits for none. */
function forget(state: LeaseState): LeaseState {
  const network = state.network
    .filter(({ kind }) => kind !== "grant")
    .map((message) => (message.awaited ? { ...message, awaited: false } : message));
  return { ...to(state, { token: FOREIGN }), network };
}

function transact(state: LeaseState, transaction: Transaction | undefined): LeaseState {
  return to(state, { transaction });
}

function to(state: LeaseState, changed: Partial<Process>): LeaseState {
  return { ...state, process: { ...state.process, ...changed } };
}
