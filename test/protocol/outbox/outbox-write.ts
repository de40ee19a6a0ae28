import type { Step } from "../explore.js";
import { boundTicks, type Outbox } from "./outbox-rules.js";
import {
  CURRENT,
  NONE,
  type OutboxState,
  type Process,
  type Write,
  withDatabase,
  withProcess,
} from "./outbox-state.js";

/** A process changes the event, with a row in the outbox: O1 and O7. */
export function writeSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  const { scope, rules } = outbox;
  const { write } = state.processes[index]!;
  const name = `process ${index + 1}`;
  const to = (next: OutboxState, changed: Write | undefined) => withProcess(next, index, { write: changed });
  if (write === undefined) {
    if (state.nextRow > scope.commits) return [];
    const row = rules.idsAreFresh ? state.nextRow : lowestFree(state.database.rows);
    const sent: Write = { stage: "sent", row, version: NONE, age: 0, epoch: NONE };
    return [
      {
        label: `${name} sends COMMIT, with row ${row}`,
        state: to({ ...state, nextRow: state.nextRow + 1 }, sent),
      },
    ];
  }
  switch (write.stage) {
    case "sent": {
      const landed = land(outbox, state, write.row);
      const { version } = landed.database;
      const steps = [
        {
          label: `${name}'s COMMIT reaches the database`,
          state: to(landed, { ...write, stage: "landed", version }),
        },
      ];
      if (state.straggler === NONE)
        steps.push({
          label: `${name} loses its connection, its COMMIT is under way`,
          state: to({ ...state, straggler: write.row }, undefined),
        });
      return steps;
    }
    case "landed":
      return [
        { label: `${name} hears that it has committed`, state: to(state, { ...write, stage: "replied" }) },
        { label: `${name} loses its connection`, state: to(state, undefined) },
      ];
    case "replied":
    case "deleted": {
      const steps = scope.returns ? returnSteps(outbox, state, index, write) : [];
      if (!rules.rowInTransaction && !state.database.rows.includes(write.row) && write.stage === "replied") {
        const rows = [...state.database.rows, write.row];
        steps.push({ label: `${name} inserts its row`, state: withDatabase(state, { rows }) });
      }
      return steps;
    }
  }
}

/** O7: the write returns to its user; from now on no lookup may show what was before. */
function returnSteps(
  { scope, rules }: Outbox,
  state: OutboxState,
  index: number,
  write: Write,
): Step<OutboxState>[] {
  const { announced, epoch, epochAge } = state.processes[index]!;
  const settled = !rules.okWaits || epochAge >= scope.gate;
  const ok = rules.okNeedsDeletion
    ? write.stage === "deleted" && write.epoch === epoch
    : announced.includes(write.row);
  const late = write.age >= boundTicks(scope) || !rules.returnsLate;
  if (!late && !(ok && settled)) return [];
  const returned = Math.max(state.returned, write.version);
  const processes = state.processes.map(
    (process): Process =>
      process.lookup === undefined ? process : { ...process, lookup: { ...process.lookup, early: true } },
  );
  const done = withProcess({ ...state, returned, processes }, index, { write: undefined });
  return [{ label: `process ${index + 1}'s write returns to its user`, state: done }];
}

/** A COMMIT takes effect. */
export function land({ rules }: Outbox, state: OutboxState, row: number): OutboxState {
  const { version, rows } = state.database;
  const ages = [...state.ages.with(version, 0), CURRENT];
  const next = { version: ages.length - 1, rows: rules.rowInTransaction ? [...rows, row] : rows };
  return { ...withDatabase(state, next), ages };
}

function lowestFree(rows: readonly number[]): number {
  for (let row = 1; ; row++) if (!rows.includes(row)) return row;
}
