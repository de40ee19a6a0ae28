import type { Step } from "../explore.js";
import { append, begin, expel, misses } from "./log-database.js";
import { type Logs, waitTicks } from "./log-rules.js";
import { type Call, type LogState, type Poll, type Seen, type Writer, withSidecar } from "./log-state.js";

/** What a process that changes the event, and the sidecar that it calls, may do next: M3. */
export function writerSteps(logs: Logs, state: LogState, index: number): Step<LogState>[] {
  const writer = state.writers[index]!;
  const change = logs.scope.writers[index]!;
  const name = `writer ${index + 1}`;
  const to = (next: LogState, changed: Partial<Writer>) => withWriter(next, index, changed);
  switch (writer.phase) {
    case "idle":
      if (change !== "set") return [{ label: `${name} commits`, state: commit(logs, state, index) }];
      return state.sidecars.flatMap(({ lease, place }, at) =>
        lease === 0 || place === undefined
          ? []
          : [
              {
                label: `${name} gets the position of sidecar ${at + 1}`,
                state: to(state, { phase: "began", asOf: place }),
              },
            ],
      );
    case "began":
      return [{ label: `${name} commits`, state: commit(logs, state, index) }];
    case "committed": {
      const { call } = writer;
      if (call === undefined) return callSteps(logs, state, index);
      const steps = waitSteps(logs, state, index, call);
      if (state.used.retries >= logs.scope.retries) return steps;
      const used = { ...state.used, retries: state.used.retries + 1 };
      const given = to({ ...state, used }, { call: undefined });
      return [...steps, { label: `${name} gives up waiting`, state: given }];
    }
    case "done":
      return [];
  }
}

function withWriter(state: LogState, index: number, changed: Partial<Writer>): LogState {
  return { ...state, writers: state.writers.with(index, { ...state.writers[index]!, ...changed }) };
}

function commit({ scope }: Logs, state: LogState, index: number): LogState {
  if (scope.writers[index] === "other") return withWriter(state, index, { phase: "committed" });
  const truth = state.truth + 1;
  return withWriter({ ...state, truth }, index, { phase: "committed", version: truth });
}

/** The call arrives at a sidecar, which appends the change. */
function callSteps(logs: Logs, state: LogState, index: number): Step<LogState>[] {
  const writer = state.writers[index]!;
  const change = logs.scope.writers[index]!;
  const name = `writer ${index + 1}`;
  const again = state.used.retries > 0 || state.used.deaths > 0;
  return state.sidecars.flatMap((sidecar, at) => {
    if (logs.scope.sidecars[at] === "member") return [];
    const [appended, place] = append(logs, begin(logs, state, at), change);
    const called = withWriter(appended, index, { call: { at, place, seen: [], poll: undefined } });
    const asOf = again && !logs.rules.retryKeepsAsOf ? sidecar.place : writer.asOf;
    const carried =
      change === "set" && asOf !== undefined
        ? withSidecar(called, at, { through: { at: place, value: writer.version, asOf } })
        : called;
    const steps = [
      {
        label: `${name}'s call reaches sidecar ${at + 1}, which appends change ${place.sequence}`,
        state: carried,
      },
    ];
    if (logs.rules.batchBeforeAppend) return steps;
    for (const { call } of state.writers) {
      if (call?.at !== at) continue;
      const joined = withWriter(state, index, { call: { at, place: call.place, seen: [], poll: undefined } });
      steps.push({ label: `${name}'s call joins change ${call.place.sequence}`, state: joined });
    }
    return steps;
  });
}

/** The sidecar looks whether every member has applied the change, expels some, and answers. */
function waitSteps(logs: Logs, state: LogState, index: number, call: Call): Step<LogState>[] {
  const sidecar = `sidecar ${call.at + 1}`;
  const to = (next: LogState, changed: Partial<Call>) =>
    withWriter(next, index, { call: { ...call, ...changed } });
  const of = `for writer ${index + 1}`;
  const steps: Step<LogState>[] = call.seen
    .filter(({ age }) => age >= waitTicks(logs))
    .map((seen) => ({
      label: `${sidecar} expels a member ${of}`,
      state: expel(logs, begin(logs, state, call.at), seen),
    }));
  const { poll } = call;
  if (poll === undefined && !logs.rules.waitFromReceipt)
    return [
      ...steps,
      {
        label: `${sidecar} sends a poll ${of}`,
        state: to(state, { poll: { stage: "sent", age: 0, missing: [] } }),
      },
    ];
  if (poll === undefined || poll.stage === "sent") {
    const begun = begin(logs, state, call.at);
    const made = look(logs, begun, call, poll?.age ?? 0);
    return [...steps, { label: `${sidecar} polls the members ${of}`, state: to(begun, { poll: made }) }];
  }
  return [...steps, receive(logs, state, index, call, poll)];
}

function look({ rules }: Logs, state: LogState, { at, place, seen }: Call, age: number): Poll {
  const { database, sidecars } = state;
  const missing = database.members
    .filter((member) => rules.waitsForMembers && misses(member, place, database))
    .filter(({ id }) => rules.waitsForItself || id !== sidecars[at]!.id)
    .map(({ id }) => ({
      id,
      age: 0,
      moved: 0,
      same: seen.some((each) => each.id === id && each.moved === 0),
    }));
  return { stage: "made", age, missing };
}

function receive(logs: Logs, state: LogState, index: number, call: Call, poll: Poll): Step<LogState> {
  const { rules } = logs;
  const { saw, sawAge } = state.sidecars[call.at]!;
  const settled = state.database.settled || (saw === state.database.incarnation && sawAge >= waitTicks(logs));
  const label = `sidecar ${call.at + 1}`;
  if (poll.missing.length === 0 && (settled || !rules.waitsForOldLeases)) {
    const announced = Math.max(state.announced, state.writers[index]!.version);
    const done = { phase: "done", asOf: undefined, version: 0, call: undefined } as const;
    const answered = withWriter({ ...state, announced }, index, done);
    return { label: `${label} answers writer ${index + 1}: OK`, state: answered };
  }
  const seen = poll.missing.map(({ id, moved, same }): Seen => {
    const before = call.seen.find((each) => each.id === id);
    if (same && before !== undefined) return before;
    return { id, age: rules.waitFromReceipt ? 0 : poll.age, moved };
  });
  const waiting = withWriter(state, index, { call: { ...call, seen, poll: undefined } });
  return { label: `${label} hears the result of its poll for writer ${index + 1}`, state: waiting };
}
