import type { Step } from "../explore.js";
import type { Outbox } from "./outbox-rules.js";
import {
  type Call,
  type Database,
  NONE,
  type OutboxState,
  type Process,
  withDatabase,
  withProcess,
} from "./outbox-state.js";

/** A process announces what it or others owe, and registers epochs: O2, O4, O8 and O9. */
export function callSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  const process = state.processes[index]!;
  if (process.call !== undefined) return underWay(outbox, state, index, process.call);
  const name = `process ${index + 1}`;
  const steps: Step<OutboxState>[] = [];
  for (const [sidecar, { alive, epoch }] of state.sidecars.entries()) {
    if (!alive) continue;
    const of = `at sidecar ${sidecar + 1}`;
    const send = (kind: Call["kind"], row: number, next = state) =>
      takeEffect(outbox, next, index, { kind, row, sidecar });
    for (const row of owed(outbox, process)) {
      if (outbox.rules.deletesAfterOk)
        steps.push({ label: `${name} announces row ${row} ${of}`, state: send("announce", row) });
      else
        steps.push({
          label: `${name} deletes row ${row} and will announce it ${of}`,
          state: deleteFirst(state, index, row, sidecar),
        });
    }
    const used = { ...state.used, newEpochs: state.used.newEpochs + 1 };
    const newEpoch = () => send("newEpoch", NONE, { ...state, used });
    const may = state.used.newEpochs < outbox.scope.newEpochs;
    if (process.purgeOwed && (may || !outbox.rules.generationNewEpoch))
      steps.push({
        label: `${name} purges for the new generation ${of}`,
        state: outbox.rules.generationNewEpoch ? newEpoch() : send("purge", NONE),
      });
    else if (may) steps.push({ label: `${name} begins a new epoch ${of}`, state: newEpoch() });
    const usable = !outbox.rules.supersededStays || !state.database.superseded.includes(epoch);
    if (state.used.registrations < outbox.scope.registrations && epoch !== process.epoch && usable) {
      const counted = { ...state, used: { ...state.used, registrations: state.used.registrations + 1 } };
      steps.push({
        label: `${name} registers the epoch of sidecar ${sidecar + 1}`,
        state: register(counted, process, epoch, {}),
      });
    }
  }
  return steps;
}

/** The rows that a process may announce. */
function owed({ rules }: Outbox, { write, rows, announced }: Process): readonly number[] {
  const own =
    write !== undefined &&
    (write.stage === "replied" || (!rules.announcesAfterReply && write.stage !== "deleted"));
  const all = new Set([...rows.map(({ id }) => id), ...(own ? [write.row] : [])]);
  return [...all].filter((row) => !announced.includes(row) || (own && row === write.row));
}

function underWay(outbox: Outbox, state: OutboxState, index: number, call: Call): Step<OutboxState>[] {
  const process = state.processes[index]!;
  const name = `process ${index + 1}`;
  const what = call.kind === "announce" ? `announcement of row ${call.row}` : "purge";
  switch (call.stage) {
    case "sent":
      return [{ label: `${name}'s ${what} takes effect`, state: takeEffect(outbox, state, index, call) }];
    case "effective": {
      const counts = call.epoch === process.epoch && call.kind === "announce";
      const announced =
        counts && !process.announced.includes(call.row)
          ? [...process.announced, call.row]
          : process.announced;
      return [
        {
          label: `${name} hears OK to its ${what}`,
          state: withProcess(state, index, { announced, call: { ...call, stage: "ok" } }),
        },
      ];
    }
    case "ok":
      return [
        { label: `${name} writes down that its ${what} is done`, state: finish(outbox, state, index, call) },
      ];
  }
}

/** Against O4: the row goes before its announcement. */
function deleteFirst(state: OutboxState, index: number, row: number, sidecar: number): OutboxState {
  const deleted = withDatabase(state, { rows: state.database.rows.filter((id) => id !== row) });
  return withProcess(deleted, index, {
    call: { kind: "announce", row, sidecar, stage: "sent", epoch: NONE },
  });
}

/** The transaction after an OK: a row is deleted, an epoch registered, a generation recorded. */
function finish({ scope, rules }: Outbox, state: OutboxState, index: number, call: Call): OutboxState {
  const process = state.processes[index]!;
  const idle = withProcess(state, index, { call: undefined });
  const recorded = process.purgeOwed ? { recorded: process.generation } : {};
  if (call.kind === "newEpoch") return register(idle, process, call.epoch, recorded);
  if (rules.deletesRegistered && state.database.registered !== call.epoch) return idle;
  if (call.kind === "purge") return withDatabase(idle, recorded);
  const deleted = withDatabase(idle, { rows: state.database.rows.filter((row) => row !== call.row) });
  const { write } = process;
  if (write?.row !== call.row || write.stage === "sent" || write.stage === "landed") return deleted;
  const done = scope.returns ? { ...write, stage: "deleted" as const, epoch: call.epoch } : undefined;
  return withProcess(deleted, index, { write: done });
}

/** O9: compare-and-set of the registered epoch; does nothing if the process is behind. */
function register(
  state: OutboxState,
  process: Process,
  epoch: number,
  changed: Partial<Database>,
): OutboxState {
  const { registered, superseded } = state.database;
  if (registered !== process.epoch) return state;
  const left = superseded.includes(registered) ? superseded : [...superseded, registered].sort();
  return withDatabase(state, { ...changed, registered: epoch, superseded: left });
}

/**
 * A call takes effect at a sidecar: it drops the entry and refuses fills with an
 * earlier position. That it does so when it is sent leaves nothing out: a process
 * may send it at any time.
 */
function takeEffect(
  { scope }: Outbox,
  state: OutboxState,
  index: number,
  call: Pick<Call, "kind" | "row" | "sidecar">,
): OutboxState {
  const { kind, sidecar } = call;
  const held = state.sidecars[sidecar]!;
  const fresh = kind === "newEpoch";
  const epoch = fresh ? state.nextEpoch : held.epoch;
  const processes = state.processes.map((process, at): Process => {
    const fill = process.fill?.sidecar === sidecar ? undefined : process.fill;
    if (scope.processes[at] !== "near") return { ...process, fill };
    const { near, lookup } = process;
    const noted =
      lookup?.sidecar === sidecar && lookup.noted === "none"
        ? { ...lookup, noted: "after" as const }
        : lookup;
    const concerned = near.kept !== NONE || noted !== lookup;
    return { ...process, fill, lookup: noted, near: concerned ? { ...near, after: true } : near };
  });
  const effective = {
    ...state,
    processes,
    nextEpoch: state.nextEpoch + (fresh ? 1 : 0),
    sidecars: state.sidecars.with(sidecar, { ...held, epoch, entry: NONE }),
  };
  return withProcess(effective, index, { call: { ...call, stage: "effective", epoch } });
}
