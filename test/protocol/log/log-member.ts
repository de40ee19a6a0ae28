import type { Step } from "../explore.js";
import { begin, execute } from "./log-database.js";
import type { Logs } from "./log-rules.js";
import {
  DROPPED,
  headOf,
  type LogState,
  NEW_SIDECAR,
  NONE,
  type Place,
  type Request,
  type Sidecar,
  withSidecar,
} from "./log-state.js";

/** What a sidecar may do next as a member of the log: M1, M2, M4, M8 and M10. */
export function memberSteps(logs: Logs, state: LogState, index: number): Step<LogState>[] {
  if (logs.scope.sidecars[index] === "answers") return [];
  const sidecar = state.sidecars[index]!;
  const name = `sidecar ${index + 1}`;
  const steps: Step<LogState>[] = [];
  if (sidecar.place !== undefined) steps.push(...followSteps(logs, state, index, sidecar.place));
  const { request } = sidecar;
  if (request === undefined) steps.push(...sendSteps(logs, state, index));
  else {
    const idle = withSidecar(state, index, { request: undefined });
    if (request.stage === "done") {
      steps.push({
        label: `${name} hears the result of its ${NAMES[request.kind]}`,
        state: receive(logs, state, index, request),
      });
    } else {
      const [after, result] = execute(logs, begin(logs, state, index), request);
      const read = result.stage === "read" ? "reads the head, without a lock" : "reaches the database";
      steps.push({
        label: `${name}'s ${NAMES[request.kind]} ${read}`,
        state: withSidecar(after, index, { request: result }),
      });
      if (state.ghosts.length < logs.scope.ghosts)
        steps.push({
          label: `${name} gives up waiting for its ${NAMES[request.kind]}`,
          state: { ...giveUp(logs, idle, index, request), ghosts: [...state.ghosts, request] },
        });
    }
  }
  if (sidecar.flag && sidecar.lease === 0 && !logs.rules.judgedAtRead)
    steps.push({ label: `${name}'s timer fires`, state: withSidecar(state, index, { flag: false }) });
  if (state.used.deaths < logs.scope.deaths)
    steps.push({ label: `${name} dies and starts again`, state: die(logs, state, index) });
  return steps;
}

const NAMES: Record<Request["kind"], string> = {
  join: "join",
  enrol: "enrolment",
  renew: "renewal",
  report: "report",
  leave: "leave",
};

function sendSteps(logs: Logs, state: LogState, index: number): Step<LogState>[] {
  const { scope, rules } = logs;
  const sidecar = state.sidecars[index]!;
  const name = `sidecar ${index + 1}`;
  const send = (next: LogState, kind: Request["kind"], id: number, place?: Place): LogState =>
    withSidecar(next, index, { request: { kind, id, stage: "sent", age: 0, place, found: false } });
  const steps: Step<LogState>[] = [];
  const rejoins = sidecar.id !== 0;
  const rows = state.database.members.length;
  if ((rejoins ? state.used.rejoins < scope.rejoins : true) && rows <= scope.sidecars.length) {
    const id = rules.freshId ? state.nextId : index + 1;
    const used = { ...state.used, rejoins: state.used.rejoins + (rejoins ? 1 : 0) };
    const left = withSidecar({ ...state, used, nextId: state.nextId + 1 }, index, beforeJoin(logs, sidecar));
    steps.push({ label: `${name} sends a join`, state: send(left, "join", id) });
  }
  if (sidecar.id === 0) return steps;
  if (scope.time) steps.push({ label: `${name} sends a renewal`, state: send(state, "renew", sidecar.id) });
  if (sidecar.place === undefined)
    steps.push({ label: `${name} sends an enrolment`, state: send(state, "enrol", sidecar.id) });
  else {
    const { applied } = state.database.members.find(({ id }) => id === sidecar.id) ?? {};
    const { epoch, sequence } = sidecar.place;
    const behind = applied?.epoch === epoch && applied.sequence < sequence;
    if (behind || !rules.reportNamesEpoch)
      steps.push({
        label: `${name} reports change ${sequence}`,
        state: send(state, "report", sidecar.id, sidecar.place),
      });
    if (!rules.appliesThenReports && headOf(state.database).sequence > sequence) {
      const early = send(state, "report", sidecar.id, { epoch, sequence: sequence + 1 });
      steps.push({ label: `${name} reports change ${sequence + 1} before it applies it`, state: early });
    }
  }
  if (state.used.leaves < scope.leaves) {
    const gone = { ...DROPPED, id: 0, lease: 0, flag: false };
    const used = { ...state.used, leaves: state.used.leaves + 1 };
    const before = rules.leaveDropsFirst ? withSidecar(state, index, gone) : state;
    steps.push({ label: `${name} leaves`, state: send({ ...before, used }, "leave", sidecar.id) });
  }
  return steps;
}

function beforeJoin({ rules }: Logs, { entry }: Sidecar): Partial<Sidecar> {
  if (!rules.joinEndsLease) return { entry: NONE };
  const dropped = { ...DROPPED, id: 0, lease: 0, flag: false };
  return rules.joinDropsCache ? dropped : { ...dropped, entry };
}

/** An enrolment that arrives late moves its member to the head: nobody may go on under that ID. */
function giveUp({ rules }: Logs, state: LogState, index: number, { kind }: Request): LogState {
  if (kind !== "enrol" || !rules.enrolOnce) return state;
  return withSidecar(state, index, { ...DROPPED, id: 0, lease: 0, flag: false });
}

function receive({ scope, rules }: Logs, state: LogState, index: number, request: Request): LogState {
  const { lease } = state.sidecars[index]!;
  const granted = Math.max(lease, scope.lease - (rules.leaseFromSend ? request.age : 0));
  const expelled = { ...DROPPED, id: 0, lease: 0, flag: false };
  const { place } = request;
  const to = (changed: Partial<Sidecar>) => withSidecar(state, index, { ...changed, request: undefined });
  switch (request.kind) {
    case "join":
      return to({
        id: request.id,
        lease: granted,
        flag: granted > 0,
        place,
        reach: place!.sequence,
        names: [],
      });
    case "renew":
      if (!request.found && rules.expelledDrops) return to(expelled);
      return to({ lease: granted, flag: granted > 0 });
    case "enrol":
      return to(request.found ? { place, reach: place!.sequence, names: [] } : expelled);
    case "leave":
      return to(rules.leaveDropsFirst ? {} : expelled);
    case "report":
      return to({});
  }
}

/** A process of the sidecar ends; what it has sent may still arrive. */
function die({ scope }: Logs, state: LogState, index: number): LogState {
  const { request, steady } = state.sidecars[index]!;
  const sent = request !== undefined && request.stage !== "done" && state.ghosts.length < scope.ghosts;
  return {
    ...state,
    used: { ...state.used, deaths: state.used.deaths + 1 },
    ghosts: sent ? [...state.ghosts, request] : state.ghosts,
    sidecars: state.sidecars.with(index, { ...NEW_SIDECAR, steady }),
    writers: state.writers.map((writer) =>
      writer.call?.at === index ? { ...writer, call: undefined } : writer,
    ),
  };
}

/** M4 and M8: the next change is applied, or everything is dropped. */
function followSteps(logs: Logs, before: LogState, index: number, place: Place): Step<LogState>[] {
  const state = begin(logs, before, index);
  const { database } = state;
  const name = `sidecar ${index + 1}`;
  const head = headOf(database);
  if (place.epoch !== head.epoch) {
    const dropped = withSidecar(state, index, DROPPED);
    return [{ label: `${name} sees a new epoch and drops everything`, state: dropped }];
  }
  if (place.sequence > head.sequence) return [];
  const { reach, names, entry } = state.sidecars[index]!;
  const gap = database.trimmed > place.sequence;
  if (gap && logs.rules.gapDrops) {
    const dropped = { ...DROPPED, place: head, reach: head.sequence };
    return [{ label: `${name} meets a gap and drops everything`, state: withSidecar(state, index, dropped) }];
  }
  const from = gap ? database.trimmed : place.sequence;
  const named = database.changes[from];
  if (named === undefined) return [];
  const sequence = from + 1;
  const kept = [...names, ...Array.from({ length: from - place.sequence }, () => false), named];
  const over = Math.max(0, kept.length - logs.scope.ring);
  const copy = { place: { epoch: head.epoch, sequence }, reach: reach + over, names: kept.slice(over) };
  const applied = withSidecar(state, index, { ...copy, entry: named ? NONE : entry });
  const steps = [
    { label: `${name} applies change ${sequence}`, state: forgetThrough(logs, applied, index, sequence) },
  ];
  const written = writeThrough(logs, state, applied, index, sequence);
  if (written !== undefined)
    steps.push({ label: `${name} applies change ${sequence} and writes its value through`, state: written });
  return steps;
}

/** The state in which a Set… has left its value, if it may. */
function writeThrough(
  { scope, rules }: Logs,
  before: LogState,
  after: LogState,
  index: number,
  sequence: number,
): LogState | undefined {
  const { through, entry, names, reach, place } = before.sidecars[index]!;
  if (through === undefined || entry === NONE) return undefined;
  const { at, value, asOf } = through;
  if (at.epoch !== place!.epoch || at.sequence !== sequence) return undefined;
  if (rules.throughReaches && (asOf.epoch !== at.epoch || asOf.sequence < reach)) return undefined;
  const between = names.slice(Math.max(0, asOf.sequence - reach));
  if (rules.throughIsFenced && between.includes(true)) return undefined;
  const written = withSidecar(after, index, { entry: value, through: undefined });
  if (!scope.tier) return written;
  if (!rules.tierGetsChange) return withSidecar(written, index, { outgoing: value });
  return { ...written, tier: [...written.tier, { asOf: at, value }] };
}

/** A value that was not written in its step is never written. */
function forgetThrough({ rules }: Logs, state: LogState, index: number, sequence: number): LogState {
  const { through } = state.sidecars[index]!;
  if (through?.at.sequence !== sequence || !rules.throughInStep) return state;
  return withSidecar(state, index, { through: undefined });
}
