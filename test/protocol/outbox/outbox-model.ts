import type { Model, Step } from "../explore.js";
import { callSteps } from "./outbox-call.js";
import { keyOf } from "./outbox-key.js";
import { pollSteps } from "./outbox-poll.js";
import { nearSteps, readSteps, staleAfterReturn, staleKept, staleUse } from "./outbox-read.js";
import { boundTicks, OUTBOX_RULES, type Outbox, type OutboxRules, type OutboxScope } from "./outbox-rules.js";
import {
  CURRENT,
  initialState,
  NONE,
  newProcess,
  type OutboxState,
  type Process,
  withProcess,
} from "./outbox-state.js";
import { land, writeSteps } from "./outbox-write.js";

/**
 * A homeserver's database with its outbox, processes that change an event, poll,
 * relay, look the event up and fill the cache, and one or two sidecars with
 * memory logs. Every message may be late, every actor may stop between any two
 * steps for any time, COMMITs may land after their process has died.
 */
export function outboxModel(scope: OutboxScope, broken: Partial<OutboxRules> = {}): Model<OutboxState> {
  const outbox: Outbox = { scope, rules: { ...OUTBOX_RULES, ...broken } };
  return {
    initial: initialState(outbox),
    next: (state) => [
      ...state.processes.flatMap((_, index) => processSteps(outbox, state, index)),
      ...surroundings(outbox, state),
      { label: "a tick passes", state: tick(outbox, state) },
    ],
    key: (state) => keyOf(scope, state),
    invariants: {
      I12: (state) => staleUse(outbox, state),
      "I12 for near caches": (state) => staleKept(outbox, state),
      "I1 for writes that have returned": (state) => staleAfterReturn(outbox, state),
    },
  };
}

function processSteps(outbox: Outbox, state: OutboxState, index: number): Step<OutboxState>[] {
  const role = outbox.scope.processes[index]!;
  const steps: Step<OutboxState>[] = [];
  if (role === "writer" || role === "both") steps.push(...writeSteps(outbox, state, index));
  if (role !== "writer") steps.push(...pollSteps(outbox, state, index), ...readSteps(outbox, state, index));
  if (role === "near") steps.push(...nearSteps(outbox, state, index));
  steps.push(...callSteps(outbox, state, index));
  const { write } = state.processes[index]!;
  const sent = write?.stage === "sent" && state.straggler === NONE;
  if (state.used.deaths < outbox.scope.deaths) {
    const died = {
      ...state,
      used: { ...state.used, deaths: state.used.deaths + 1 },
      straggler: sent ? write.row : state.straggler,
      processes: state.processes.with(index, newProcess(outbox.scope)),
    };
    steps.push({ label: `process ${index + 1} dies and starts again`, state: died });
  }
  return steps;
}

/** What happens to the database and the sidecars, and the COMMIT of a dead process. */
function surroundings(outbox: Outbox, state: OutboxState): Step<OutboxState>[] {
  const { scope } = outbox;
  const { straggler, used, database } = state;
  const steps: Step<OutboxState>[] = [];
  if (straggler !== NONE) {
    const landed = { ...land(outbox, state, straggler), straggler: NONE };
    steps.push({ label: "a COMMIT that nobody waits for reaches the database", state: landed });
    steps.push({
      label: "a COMMIT that nobody waits for is rolled back",
      state: { ...state, straggler: NONE },
    });
  }
  const fails = used.failovers < scope.failovers;
  if (fails && state.backup === undefined)
    steps.push({ label: "the standby receives no more", state: { ...state, backup: database } });
  if (fails) steps.push({ label: "the standby is promoted", state: failOver(outbox, state) });
  if (used.sidecarDeaths < scope.sidecarDeaths) {
    state.sidecars.forEach((sidecar, index) => {
      if (!sidecar.alive) return;
      const begin = { alive: true, epoch: state.nextEpoch, entry: NONE };
      const die = (next: typeof sidecar, nextEpoch: number): OutboxState => ({
        ...state,
        nextEpoch,
        sidecars: state.sidecars.with(index, next),
        processes: state.processes.map((process) =>
          process.fill?.sidecar === index ? { ...process, fill: undefined } : process,
        ),
        used: { ...used, sidecarDeaths: used.sidecarDeaths + 1 },
      });
      const name = `sidecar ${index + 1}`;
      steps.push({ label: `${name} restarts in a new epoch`, state: die(begin, state.nextEpoch + 1) });
      if (scope.sidecars > 1)
        steps.push({
          label: `${name} is gone`,
          state: die({ ...begin, alive: false, epoch: NONE }, state.nextEpoch),
        });
    });
  }
  return steps;
}

/** Commits that the standby has not are lost; COMMITs under way fail. */
function failOver({ rules }: Outbox, state: OutboxState): OutboxState {
  const { database, used } = state;
  const backup = state.backup ?? database;
  const { version } = backup;
  const ages =
    database.version === version ? state.ages : state.ages.with(database.version, 0).with(version, CURRENT);
  return {
    ...state,
    ages,
    database: { ...backup, generation: database.generation + (rules.restoreShows ? 1 : 0) },
    backup: undefined,
    oldPrimary: database.version,
    returned: 0,
    straggler: NONE,
    processes: state.processes.map((process) =>
      process.write === undefined || process.write.stage === "replied"
        ? process
        : { ...process, write: undefined },
    ),
    used: { ...used, failovers: used.failovers + 1 },
  };
}

/** Every age grows, up to where it makes no more difference. */
function tick(outbox: Outbox, state: OutboxState): OutboxState {
  const { scope } = outbox;
  const agesMax = boundTicks(scope) + Math.max(scope.reply, scope.near);
  const ages = state.ages.map((age) => (age === CURRENT ? age : Math.min(age + 1, agesMax)));
  return state.processes.reduce<OutboxState>(
    (next, process, index) => withProcess(next, index, older(outbox, process)),
    { ...state, ages },
  );
}

function older({ scope, rules }: Outbox, process: Process): Partial<Process> {
  const bound = boundTicks(scope);
  const { poll, since, epochAge, rows, write, lookup, near } = process;
  const over = lookup !== undefined && rules.replyYoung && lookup.age + 1 >= scope.reply;
  const waits = scope.returns && (write?.stage === "replied" || write?.stage === "deleted");
  const dated = near.proof !== "none";
  const proofAge = dated ? Math.min(near.proofAge + 1, scope.near) : 0;
  const proofOver = dated && rules.nearProofYoung && proofAge >= scope.near;
  return {
    poll: poll && { ...poll, age: rules.pollFromSend ? Math.min(poll.age + 1, bound) : 0 },
    since: Math.min(since + 1, bound),
    epochAge: Math.min(epochAge + 1, bound),
    rows: rows.map(({ id, age }) => ({ id, age: Math.min(age + 1, scope.age) })),
    write: write && { ...write, age: waits ? Math.min(write.age + 1, bound) : 0 },
    lookup: over ? undefined : lookup && { ...lookup, age: Math.min(lookup.age + 1, scope.reply) },
    near: proofOver ? { ...near, proof: "none", proofAge: 0 } : { ...near, proofAge },
  };
}
