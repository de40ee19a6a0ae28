import type { OutboxScope } from "./outbox-rules.js";
import { CURRENT, type Database, NONE, type OutboxState, type Process } from "./outbox-state.js";

/** A text that is the same for two states exactly if they are equal, or become so when processes of one role swap places. */
export function keyOf({ processes: roles }: OutboxScope, state: OutboxState): string {
  const { database, backup, oldPrimary, ages, sidecars, processes, used } = state;
  const held = new Set([database.version, backup?.version ?? NONE, oldPrimary]);
  for (const { entry } of sidecars) held.add(entry);
  for (const { fill, lookup, near, write } of processes) {
    held
      .add(fill?.version ?? NONE)
      .add(lookup?.version ?? NONE)
      .add(near.kept)
      .add(write?.version ?? NONE);
  }
  const parts = ages.map((age, version) => (held.has(version) ? age : CURRENT));
  parts.push(SEPARATOR);
  pushDatabase(parts, database);
  if (backup === undefined) parts.push(SEPARATOR);
  else pushDatabase(parts, backup);
  parts.push(oldPrimary, state.returned, state.straggler, state.nextRow, state.nextEpoch);
  parts.push(used.deaths, used.sidecarDeaths, used.registrations, used.newEpochs, used.failovers);
  for (const { alive, epoch, entry } of sidecars) parts.push(alive ? 1 : 0, epoch, entry);
  const texts = processes.map((process, index) => `${roles[index]}${textOf(process)}`);
  return encode(parts) + texts.sort().join("");
}

/** Small numbers, from -8, as one text. */
function encode(parts: readonly number[]): string {
  return String.fromCharCode(...parts.map((part) => part + 8));
}

const SEPARATOR = -8;
const WRITES = { sent: 0, landed: 1, replied: 2, deleted: 3 };
const CALLS = { sent: 0, effective: 1, ok: 2 };
const KINDS = { announce: 0, purge: 1, newEpoch: 2 };
const NOTED = { none: 0, before: 1, after: 2, applied: 3 };
const PROOFS = { none: 0, sent: 1, answered: 2, good: 3 };

function pushDatabase(parts: number[], database: Database): void {
  const { version, rows, registered, superseded, generation, recorded } = database;
  parts.push(version, registered, generation, recorded, ...rows, SEPARATOR, ...superseded, SEPARATOR);
}

function textOf(process: Process): string {
  const parts: number[] = [];
  const { poll, since, flag, epoch, generation, purgeOwed, epochAge, rows, announced } = process;
  const { write, call, fill, lookup, near } = process;
  parts.push(since, flag ? 1 : 0, epoch, generation, purgeOwed ? 1 : 0, epochAge);
  for (const { id, age } of rows) parts.push(id, age);
  parts.push(SEPARATOR, ...announced.toSorted(), SEPARATOR);
  if (poll === undefined) parts.push(SEPARATOR);
  else {
    parts.push(poll.age);
    pushDatabase(parts, poll.result);
  }
  if (write === undefined) parts.push(SEPARATOR);
  else parts.push(WRITES[write.stage], write.row, write.version, write.age, write.epoch);
  if (call === undefined) parts.push(SEPARATOR);
  else parts.push(KINDS[call.kind], call.row, call.sidecar, CALLS[call.stage], call.epoch);
  if (fill === undefined) parts.push(SEPARATOR);
  else parts.push(fill.sidecar, fill.version, fill.old ? 1 : 0);
  if (lookup === undefined) parts.push(SEPARATOR);
  else {
    parts.push(lookup.age, lookup.sidecar, lookup.epoch, lookup.version);
    parts.push(lookup.early ? 1 : 0, NOTED[lookup.noted]);
  }
  parts.push(near.kept, near.before ? 1 : 0, near.after ? 1 : 0, PROOFS[near.proof], near.proofAge);
  return encode(parts);
}
