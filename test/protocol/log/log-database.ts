import type { LogChange, Logs } from "./log-rules.js";
import {
  type Call,
  type Database,
  headOf,
  type LogState,
  type Member,
  type Place,
  type Poll,
  type Request,
  type Seen,
  withSidecar,
} from "./log-state.js";

/** M9: every transaction compares the incarnation first; the first one on a new incarnation starts over. */
export function begin(logs: Logs, state: LogState, index: number): LogState {
  const after = startOver(logs, state);
  const { incarnation } = after.database;
  if (after.sidecars[index]!.saw === incarnation) return after;
  return withSidecar(after, index, { saw: incarnation, sawAge: 0 });
}

/** M9, for a transaction of anybody. */
export function startOver({ rules }: Logs, state: LogState): LogState {
  const { database } = state;
  if (!rules.incarnationCompared || database.recorded === database.incarnation) return state;
  const kept = { ...database, recorded: database.incarnation, settled: false, members: [] };
  if (!rules.newEpochs) return { ...state, database: kept };
  const emptied = { ...kept, epoch: state.nextEpoch, changes: [], trimmed: 0 };
  return { ...state, database: emptied, nextEpoch: state.nextEpoch + 1 };
}

/** A sidecar's request reaches the database; returns the request with its result. */
export function execute(logs: Logs, state: LogState, request: Request): [LogState, Request] {
  const { database } = state;
  const member = database.members.find(({ id }) => id === request.id);
  const done = { ...request, stage: "done", found: member?.row ?? false } as const;
  switch (request.kind) {
    case "join":
    case "enrol": {
      if (!logs.rules.enrolLocksHead && request.stage === "sent")
        return [state, { ...request, stage: "read", place: headOf(database) }];
      const place = request.place ?? headOf(database);
      if (request.kind === "enrol" && !done.found && logs.rules.enrolNeedsMember) return [state, done];
      const row = request.kind === "join" || done.found;
      const members = [
        ...flushed(database.members).filter(({ id }) => id !== request.id),
        { id: request.id, row, applied: place, unflushed: undefined },
      ];
      return [
        { ...state, database: { ...database, members } },
        { ...done, place, found: true },
      ];
    }
    case "renew":
      return [done.found ? renewed(logs, state, member!) : state, done];
    case "report":
      return [member === undefined ? state : reported(logs, state, member, request.place!), done];
    case "leave": {
      const members = database.members.filter(({ id }) => id !== request.id);
      return [{ ...state, database: { ...database, members } }, done];
    }
  }
}

function renewed(logs: Logs, state: LogState, member: Member): LogState {
  const moved = mapCalls(state, (seen) =>
    seen.id === member.id ? { ...seen, moved: Math.min(2, seen.moved + 1) } : seen,
  );
  return withMember(logs, moved, member, { unflushed: { renewed: true, applied: durable(member) } });
}

function reported(logs: Logs, state: LogState, member: Member, place: Place): LogState {
  const { applied } = member;
  if (applied === undefined || (logs.rules.reportNamesEpoch && applied.epoch !== place.epoch)) return state;
  const next = { epoch: applied.epoch, sequence: place.sequence };
  const unflushed = { renewed: member.unflushed?.renewed ?? false, applied: durable(member) };
  return withMember(logs, state, member, { applied: next, unflushed });
}

function durable({ unflushed, applied }: Member): Place | undefined {
  return unflushed === undefined ? applied : unflushed.applied;
}

function withMember({ scope }: Logs, state: LogState, member: Member, changed: Partial<Member>): LogState {
  const { database } = state;
  const crashes = scope.crashes > state.used.crashes;
  const next = { ...member, ...changed, ...(crashes ? {} : { unflushed: undefined }) };
  const members = database.members.map((each) => (each === member ? next : each));
  return { ...state, database: { ...database, members } };
}

/** A synchronous commit: what was committed asynchronously before it can no longer be lost. */
function flushed(members: readonly Member[]): readonly Member[] {
  return members.map((member) =>
    member.unflushed === undefined ? member : { ...member, unflushed: undefined },
  );
}

/** M3: a change is appended; the position that it has. */
export function append(logs: Logs, state: LogState, change: LogChange): [LogState, Place] {
  const { database } = state;
  const members = flushed(database.members);
  if (change === "newEpoch") {
    const emptied: Database = { ...database, members, epoch: state.nextEpoch, changes: [], trimmed: 0 };
    return [{ ...state, database: emptied, nextEpoch: state.nextEpoch + 1 }, headOf(emptied)];
  }
  const changes = [...database.changes, change !== "other"];
  const trimmed = Math.max(database.trimmed, changes.length - logs.scope.ring);
  const next = { ...database, members, changes, trimmed };
  return [{ ...state, database: next }, headOf(next)];
}

/** Whether an answer to a change still waits for a member. */
export function misses({ applied }: Member, place: Place, { epoch }: Database): boolean {
  if (applied === undefined) return false;
  if (applied.epoch === place.epoch) return applied.sequence < place.sequence;
  return applied.epoch !== epoch;
}

/** M3: `delete … where id = … and counter = …`; does nothing if the counter has moved. */
export function expel({ rules }: Logs, state: LogState, seen: Seen): LogState {
  if (seen.moved !== 0 && rules.expelNamesCounter) return state;
  const { database } = state;
  const members = rules.expelDeletesMember
    ? database.members.filter(({ id }) => id !== seen.id)
    : database.members.map((each) => (each.id === seen.id ? { ...each, applied: undefined } : each));
  return { ...state, database: { ...database, members } };
}

/**
 * The server crashes and comes back without a new start: what was committed
 * asynchronously is lost, and so is every connection.
 */
export function crash({ rules }: Logs, state: LogState): LogState {
  const { database } = state;
  const lost = (member: Member): Member =>
    member.unflushed === undefined
      ? member
      : { ...member, applied: member.unflushed.applied, unflushed: undefined };
  const renewals = new Set(
    database.members.filter(({ unflushed }) => unflushed?.renewed).map(({ id }) => id),
  );
  const back = mapCalls(state, (seen) =>
    renewals.has(seen.id) && seen.moved < 2 ? { ...seen, moved: seen.moved - 1 } : seen,
  );
  const writers = back.writers.map((writer) =>
    writer.call === undefined
      ? writer
      : {
          ...writer,
          call: { ...writer.call, poll: undefined, seen: rules.waitRestarts ? [] : writer.call.seen },
        },
  );
  const used = { ...state.used, crashes: state.used.crashes + 1 };
  return { ...back, writers, used, database: { ...database, members: database.members.map(lost) } };
}

/** Replaces what calls have seen of members. */
function mapCalls(state: LogState, map: (seen: Seen) => Seen): LogState {
  const inPoll = (poll: Poll | undefined): Poll | undefined =>
    poll && { ...poll, missing: poll.missing.map((seen) => ({ ...map(seen), same: seen.same })) };
  const inCall = (call: Call): Call => ({ ...call, seen: call.seen.map(map), poll: inPoll(call.poll) });
  if (state.writers.every(({ call }) => call === undefined)) return state;
  const writers = state.writers.map((writer) =>
    writer.call === undefined ? writer : { ...writer, call: inCall(writer.call) },
  );
  return { ...state, writers };
}
