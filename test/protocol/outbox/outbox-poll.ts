import type { Step } from "../explore.js";
import type { Outbox } from "./outbox-rules.js";
import { type Database, judgeGate, type OutboxState, type Process, withProcess } from "./outbox-state.js";

/**
 * A process polls the outbox: O3, O4, and what O8 and O9 return with it. That the
 * poll is sent and made at one moment leaves nothing out: the longer before it was
 * sent, the sooner the gate closes.
 */
export function pollSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  const { rules } = outbox;
  const { poll } = state.processes[index]!;
  const name = `process ${index + 1}`;
  if (poll !== undefined) {
    const since = rules.pollFromSend ? poll.age : 0;
    const process = receive(outbox, state.processes[index]!, poll.result, since);
    const flag = rules.judgedAlways ? false : judgeGate(outbox, process);
    const received = withProcess(state, index, { ...process, flag, poll: undefined });
    return [{ label: `${name} hears the result of its poll`, state: received }];
  }
  const made = (label: string, result: Database): Step<OutboxState> => ({
    label: `${name} polls ${label}`,
    state: withProcess(state, index, { poll: { age: 0, result } }),
  });
  const { database, backup } = state;
  const steps =
    rules.pollsShowAll || database.rows.length < 2
      ? [made("the database", database)]
      : database.rows.map((row) =>
          made(`the database, which shows row ${row}`, { ...database, rows: [row] }),
        );
  if (!rules.pollsPrimary && backup !== undefined) steps.push(made("a lagging replica", backup));
  return steps;
}

function receive({ rules }: Outbox, process: Process, result: Database, since: number): Process {
  const rows = result.rows.map((id) => {
    const known = process.rows.find((row) => row.id === id);
    return known ?? { id, age: rules.ageFromAbsence ? process.since : 0 };
  });
  const sameEpoch = result.registered === process.epoch;
  const announced = sameEpoch || !rules.forgetsAnnounced ? process.announced : [];
  return {
    ...process,
    since,
    rows,
    announced: announced.filter(
      (id) => result.rows.includes(id) || process.call?.row === id || process.write?.row === id,
    ),
    epoch: result.registered,
    epochAge: sameEpoch ? process.epochAge : 0,
    generation: result.generation,
    purgeOwed: result.generation !== result.recorded,
  };
}
