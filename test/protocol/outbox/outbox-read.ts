import type { Step } from "../explore.js";
import { boundTicks, type Outbox } from "./outbox-rules.js";
import {
  gateOpen,
  type Lookup,
  type Near,
  NONE,
  type OutboxState,
  type Process,
  withProcess,
} from "./outbox-state.js";

/** A process looks the event up and fills the cache: O6, O8, O9 and O10. */
export function readSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  return [...lookupSteps(outbox, state, index), ...fillSteps(outbox, state, index)];
}

function lookupSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  const process = state.processes[index]!;
  const { lookup } = process;
  const name = `process ${index + 1}`;
  const to = (changed: Lookup | undefined) => withProcess(state, index, { lookup: changed });
  if (lookup === undefined) {
    if (outbox.rules.judgedWhenSent && !gateOpen(outbox, process)) return [];
    const sent: Lookup = { age: 0, sidecar: NONE, epoch: NONE, version: NONE, early: false, noted: "none" };
    return [{ label: `${name} sends a lookup`, state: to(sent) }];
  }
  if (lookup.sidecar !== NONE) return [];
  return state.sidecars.flatMap(({ alive, epoch, entry }, sidecar) =>
    alive && entry !== NONE
      ? [
          {
            label: `sidecar ${sidecar + 1} answers process ${index + 1} with version ${entry}`,
            state: to({ ...lookup, sidecar, epoch, version: entry }),
          },
        ]
      : [],
  );
}

function fillSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  const { scope, rules } = outbox;
  const process = state.processes[index]!;
  const { fill } = process;
  const name = `process ${index + 1}`;
  if (fill === undefined) {
    if (!gateOpen(outbox, process)) return [];
    return state.sidecars.flatMap(({ alive, epoch }, sidecar) =>
      alive && (epoch === process.epoch || !rules.fillsRegistered)
        ? [
            {
              label: `${name} misses and gets the position of sidecar ${sidecar + 1}`,
              state: withProcess(state, index, { fill: { sidecar, version: NONE, old: false } }),
            },
          ]
        : [],
    );
  }
  if (fill.version === NONE) {
    const read = (version: number, old: boolean) =>
      withProcess(state, index, { fill: { ...fill, version, old } });
    const steps = [
      {
        label: `${name} reads version ${state.database.version} in the database`,
        state: read(state.database.version, false),
      },
    ];
    if (scope.oldPrimary && state.oldPrimary !== NONE)
      steps.push({
        label: `${name} reads version ${state.oldPrimary} in the old primary`,
        state: read(state.oldPrimary, true),
      });
    if (!rules.fillsPrimary && state.backup !== undefined)
      steps.push({
        label: `${name} reads version ${state.backup.version} in a lagging replica`,
        state: read(state.backup.version, false),
      });
    return steps;
  }
  const done = withProcess(state, index, { fill: undefined });
  const held = state.sidecars[fill.sidecar]!;
  const steps = [{ label: `${name} gives up its fill`, state: done }];
  const outdated = fill.old && process.generation === state.database.generation;
  if (!held.alive || (rules.fillsOfGeneration && outdated)) return steps;
  if (!rules.fillsRegistered && held.epoch !== process.epoch) return steps;
  const sidecars = state.sidecars.with(fill.sidecar, { ...held, entry: fill.version });
  return [
    ...steps,
    { label: `${name}'s put takes effect at sidecar ${fill.sidecar + 1}`, state: { ...done, sidecars } },
  ];
}

/** What a process may do with a near cache. */
export function nearSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  const { rules } = outbox;
  const process = state.processes[index]!;
  const { near, lookup } = process;
  const name = `process ${index + 1}`;
  const to = (changed: Partial<Near>, more: Partial<Process> = {}) =>
    withProcess(state, index, { ...more, near: { ...near, ...changed } });
  const steps: Step<OutboxState>[] = [];
  if (lookup !== undefined && usable(outbox, process) && lookup.noted !== "applied")
    steps.push({
      label: `${name} keeps the reply`,
      state: to(
        {
          kept: lookup.version,
          after: near.after || lookup.noted === "after",
          before: near.before || lookup.noted === "before",
        },
        { lookup: undefined },
      ),
    });
  if (near.before || near.after) {
    const applied = near.before ? "before" : "after";
    const noted = lookup?.noted === applied ? ("applied" as const) : undefined;
    const proof = near.before && near.proof === "answered" ? "good" : near.proof;
    const heard = noted === undefined ? {} : { lookup: { ...lookup!, noted } };
    steps.push({
      label: `${name} applies a notice`,
      state: to({ kept: NONE, [applied]: false, proof }, heard),
    });
  }
  if (!rules.nearNeedsProof) return steps;
  if (near.proof === "none" || near.proof === "good") {
    if (near.kept !== NONE && (gateOpen(outbox, process) || !rules.nearProofOpen))
      steps.push({ label: `${name} asks for the position`, state: to({ proof: "sent", proofAge: 0 }) });
  } else if (near.proof === "sent") {
    const before = near.before || near.after;
    const moved = lookup?.noted === "after" ? { lookup: { ...lookup, noted: "before" as const } } : {};
    steps.push({
      label: `${name} gets the position`,
      state: to({ before, after: false, proof: before ? "answered" : "good" }, moved),
    });
  }
  return steps;
}

/** O6 and O9: whether a process may use the reply that it has. */
export function usable(outbox: Outbox, process: Process): boolean {
  const { lookup } = process;
  if (lookup === undefined || lookup.sidecar === NONE) return false;
  if (outbox.rules.replyYoung && lookup.age >= outbox.scope.reply) return false;
  if (outbox.rules.usesRegistered && lookup.epoch !== process.epoch) return false;
  return outbox.rules.judgedWhenSent || gateOpen(outbox, process);
}

/** I12, and I1 for writes that have returned: what a process may use is not too old. */
export function staleUse(outbox: Outbox, state: OutboxState): string | undefined {
  const limit = boundTicks(outbox.scope) + outbox.scope.reply - 1;
  for (const [index, process] of state.processes.entries()) {
    if (!usable(outbox, process)) continue;
    const { version } = process.lookup!;
    if (state.ages[version]! >= limit)
      return `process ${index + 1} uses version ${version}, outdated ${state.ages[version]} ticks ago or earlier`;
  }
  return undefined;
}

export function staleAfterReturn(outbox: Outbox, state: OutboxState): string | undefined {
  for (const [index, process] of state.processes.entries()) {
    if (!usable(outbox, process)) continue;
    const { version, early } = process.lookup!;
    if (version < state.returned && !early)
      return `process ${index + 1} uses version ${version}, the write of ${state.returned} has returned`;
  }
  return undefined;
}

export function staleKept(outbox: Outbox, state: OutboxState): string | undefined {
  const { scope, rules } = outbox;
  const limit = boundTicks(scope) + scope.near - 1;
  for (const [index, process] of state.processes.entries()) {
    const { kept, proof, proofAge } = process.near;
    if (kept === NONE || state.ages[kept]! < limit || !gateOpen(outbox, process)) continue;
    if (rules.nearNeedsProof && (proof !== "good" || (rules.nearProofYoung && proofAge >= scope.near)))
      continue;
    return `process ${index + 1} uses what it keeps of version ${kept}, outdated ${state.ages[kept]} ticks ago or earlier`;
  }
  return undefined;
}
