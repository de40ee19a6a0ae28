import type { Model, Step } from "../explore.js";
import { fillerSteps, serves, tierSteps } from "./log-cache.js";
import { writerSteps } from "./log-calls.js";
import { begin, crash, execute, startOver } from "./log-database.js";
import { keyOf } from "./log-key.js";
import { memberSteps } from "./log-member.js";
import { LOG_RULES, type LogRules, type LogScope, type Logs, waitTicks } from "./log-rules.js";
import { type Call, initialState, type LogState, type Poll, type Request, withSidecar } from "./log-state.js";

/**
 * One homeserver's log in PostgreSQL, the sidecars that are its members, their
 * clocks, writers that change the event and call a sidecar, a process that fills
 * the cache, and a tier. Every transaction may be late or never answered, every
 * actor may stop between any two steps, for any time, and everything but the
 * database may die.
 */
export function logModel(scope: LogScope, broken: Partial<LogRules> = {}): Model<LogState> {
  const logs: Logs = { scope, rules: { ...LOG_RULES, ...broken } };
  return {
    initial: initialState(scope),
    next: (state) => [
      ...state.writers.flatMap((_, index) => writerSteps(logs, state, index)),
      ...state.sidecars.flatMap((_, index) => [
        ...memberSteps(logs, state, index),
        ...tierSteps(logs, state, index),
      ]),
      ...fillerSteps(logs, state),
      ...databaseSteps(logs, state),
      ...(scope.time ? ticks(logs, state) : []),
    ],
    key: (state) => keyOf(scope, state),
    invariants: {
      I1: (state) => staleHit(logs, state),
      "no orphan": orphan,
    },
  };
}

/** I1: what a sidecar serves shows every change whose announcement was answered. */
function staleHit(logs: Logs, state: LogState): string | undefined {
  for (const [index, sidecar] of state.sidecars.entries()) {
    if (serves(logs, sidecar) && sidecar.entry < state.announced)
      return `sidecar ${index + 1} serves version ${sidecar.entry}, ${state.announced} was announced`;
  }
  return undefined;
}

/** Nobody can expel a member that has no row: every change would wait for it. */
function orphan({ database }: LogState): string | undefined {
  return database.members.some(({ row, applied }) => !row && applied !== undefined)
    ? "a position is left without its member, no change is answered any more"
    : undefined;
}

/** What happens to the database, and requests that nobody waits for. */
function databaseSteps(logs: Logs, state: LogState): Step<LogState>[] {
  const { scope } = logs;
  const { database, backup, used } = state;
  const steps = state.ghosts.map((ghost, index): Step<LogState> => {
    const [after, result] = execute(logs, startOver(logs, state), ghost);
    const ghosts =
      result.stage === "done" ? state.ghosts.toSpliced(index, 1) : state.ghosts.with(index, result);
    return { label: `an abandoned ${ghost.kind} reaches the database`, state: { ...after, ghosts } };
  });
  if (used.crashes < scope.crashes)
    steps.push({ label: "the database crashes and recovers", state: crash(logs, state) });
  const left = scope.promotions + scope.restores - used.promotions - used.restores;
  if (left > 0 && backup === undefined)
    steps.push({ label: "a standby or a snapshot keeps this state", state: { ...state, backup: database } });
  const back = (incarnation: number, changed: Partial<LogState["used"]>): LogState => ({
    ...state,
    database: { ...(backup ?? database), incarnation },
    backup: undefined,
    used: { ...used, ...changed },
  });
  if (used.promotions < scope.promotions)
    steps.push({
      label: "the standby is promoted",
      state: back(database.incarnation + 1, { promotions: used.promotions + 1 }),
    });
  if (used.restores < scope.restores)
    steps.push({
      label: "the snapshot is restored and started",
      state: back(database.incarnation + (logs.rules.startTimeCounts ? 1 : 0), {
        restores: used.restores + 1,
      }),
    });
  state.sidecars.forEach(({ saw, sawAge }, index) => {
    if (database.settled || saw !== database.incarnation || sawAge < waitTicks(logs)) return;
    const begun = begin(logs, state, index);
    steps.push({
      label: `sidecar ${index + 1} records that the old leases are over`,
      state: { ...begun, database: { ...begun.database, settled: true } },
    });
  });
  return steps;
}

/** A tick passes; the clocks of some sidecars may not count it. */
function ticks(logs: Logs, state: LogState): Step<LogState>[] {
  let results: Step<LogState>[] = [{ label: "a tick passes", state }];
  state.sidecars.forEach(({ lease, request, steady }, index) => {
    const losable = lease > 0 || request?.kind === "join" || request?.kind === "renew";
    const { drift, lease: steadyTicks } = logs.scope;
    const loses = losable && (!logs.rules.clockCountsSuspend || (drift > 0 && steady === 0));
    results = results.flatMap((step) => {
      const counted = { label: step.label, state: count(logs, step.state, index) };
      if (!loses) return [counted];
      const lost = withSidecar(step.state, index, { steady: drift > 0 ? steadyTicks : 0 });
      return [counted, { label: `${step.label}, which sidecar ${index + 1} does not count`, state: lost }];
    });
  });
  return results;
}

/** A sidecar's clock counts a tick. */
function count(logs: Logs, state: LogState, index: number): LogState {
  const { scope } = logs;
  const wait = waitTicks(logs);
  const { lease, request, steady, sawAge } = state.sidecars[index]!;
  const dated = request?.kind === "join" || request?.kind === "renew";
  const aged: Request | undefined =
    request && dated ? { ...request, age: Math.min(request.age + 1, scope.lease) } : request;
  const counted = withSidecar(state, index, {
    lease: Math.max(0, lease - 1),
    request: aged,
    steady: Math.max(0, steady - 1),
    sawAge: state.database.settled ? sawAge : Math.min(sawAge + 1, wait),
  });
  const inPoll = (poll: Poll | undefined): Poll | undefined =>
    poll && (logs.rules.waitFromReceipt ? poll : { ...poll, age: Math.min(poll.age + 1, wait) });
  const inCall = (call: Call): Call => ({
    ...call,
    seen: call.seen.map((seen) => ({ ...seen, age: Math.min(seen.age + 1, wait) })),
    poll: inPoll(call.poll),
  });
  if (!state.writers.some(({ call }) => call?.at === index)) return counted;
  const writers = counted.writers.map((writer) =>
    writer.call?.at === index ? { ...writer, call: inCall(writer.call) } : writer,
  );
  return { ...counted, writers };
}
