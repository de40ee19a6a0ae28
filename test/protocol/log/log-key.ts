import type { LogScope } from "./log-rules.js";
import type { Call, Database, LogState, Place, Request, Sidecar } from "./log-state.js";

/**
 * A text that is the same for two states exactly if they are equal but for the
 * names of members, or for sidecars that have swapped places: what can follow
 * is then the same but for their names.
 */
export function keyOf(scope: LogScope, state: LogState): string {
  const { database, backup, sidecars, writers, filler, tier, ghosts, used } = state;
  const settled = database.settled && database.recorded === database.incarnation;
  const texts = sidecars.map((sidecar) => textOf(sidecar, settled));
  const order = texts
    .map((_, index) => index)
    .sort((a, b) => (scope.sidecars[a] === scope.sidecars[b] ? compare(texts[a]!, texts[b]!) : a - b));
  const names = new Map<number, number>([[0, 0]]);
  const nameOf = (id: number): number => {
    const known = names.get(id);
    if (known !== undefined) return known;
    names.set(id, names.size);
    return names.size - 1;
  };
  const parts: number[] = [];
  for (const index of order) {
    const { id, request } = sidecars[index]!;
    parts.push(nameOf(id), request === undefined ? 0 : 1 + nameOf(request.id));
  }
  for (const ghost of ghosts) {
    parts.push(1 + nameOf(ghost.id));
    pushRequest(parts, ghost);
  }
  pushDatabase(parts, database, nameOf);
  if (backup !== undefined) pushDatabase(parts, backup, nameOf);
  for (const { phase, asOf, version, call } of writers) {
    parts.push(PHASES[phase], version);
    pushPlace(parts, asOf);
    if (call !== undefined) pushCall(parts, call, order.indexOf(call.at), nameOf);
  }
  pushPlace(parts, filler.asOf);
  parts.push(filler.value, state.truth, state.announced, state.nextEpoch);
  parts.push(
    used.promotions,
    used.restores,
    used.crashes,
    used.deaths,
    used.leaves,
    used.rejoins,
    used.retries,
  );
  if (scope.tier)
    parts.push(...tier.map(({ asOf, value }) => (asOf.epoch * 8 + asOf.sequence) * 8 + value).sort());
  return order.map((index) => texts[index]).join("") + encode(parts);
}

const PHASES = { idle: 0, began: 1, committed: 2, done: 3 };
const KINDS = { join: 0, enrol: 1, renew: 2, report: 3, leave: 4 };
const STAGES = { sent: 0, read: 1, done: 2, made: 3 };

/** Small numbers, from -8, as one text. */
function encode(numbers: readonly number[]): string {
  return String.fromCharCode(...numbers.map((number) => number + 8));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A sidecar without the names of members. */
function textOf(sidecar: Sidecar, settled: boolean): string {
  const { id, lease, flag, place, reach, names, entry, outgoing, through, request, steady } = sidecar;
  const parts = [id === 0 ? 0 : 1, lease, flag ? 1 : 0, reach, entry, outgoing, steady];
  parts.push(settled ? 0 : sidecar.saw, settled ? 0 : sidecar.sawAge, bits(names));
  pushPlace(parts, place);
  if (through === undefined) parts.push(-8);
  else {
    pushPlace(parts, through.at);
    pushPlace(parts, through.asOf);
    parts.push(through.value);
  }
  if (request === undefined) parts.push(-8);
  else pushRequest(parts, request);
  return encode(parts);
}

function bits(flags: readonly boolean[]): number {
  return flags.reduce((number, flag) => 2 * number + (flag ? 1 : 0), 1);
}

function pushPlace(parts: number[], place: Place | undefined): void {
  if (place === undefined) parts.push(-8);
  else parts.push(place.epoch * 16 + place.sequence);
}

function pushRequest(parts: number[], { kind, stage, age, place, found }: Request): void {
  parts.push(KINDS[kind], STAGES[stage], age, found ? 1 : 0);
  pushPlace(parts, place);
}

function pushDatabase(parts: number[], database: Database, nameOf: (id: number) => number): void {
  const { incarnation, recorded, settled, epoch, changes, trimmed, members } = database;
  parts.push(incarnation, recorded, settled ? 1 : 0, epoch, bits(changes), trimmed, members.length);
  for (const { id, row, applied, unflushed } of members) {
    parts.push(nameOf(id), row ? 1 : 0);
    pushPlace(parts, applied);
    if (unflushed === undefined) parts.push(-8);
    else {
      parts.push(unflushed.renewed ? 1 : 0);
      pushPlace(parts, unflushed.applied);
    }
  }
}

function pushCall(parts: number[], call: Call, at: number, nameOf: (id: number) => number): void {
  const { place, seen, poll } = call;
  parts.push(at, seen.length);
  pushPlace(parts, place);
  for (const { id, age, moved } of seen) parts.push(nameOf(id), age, moved);
  if (poll === undefined) return;
  parts.push(STAGES[poll.stage], poll.age);
  for (const { id, age, moved, same } of poll.missing) parts.push(nameOf(id), age, moved, same ? 1 : 0);
}
