import type { Change, Fills } from "./fill-rules.js";
import { announced, type FillState, type Place, withPart } from "./fill-state.js";

/** A writer's call after its commit: append to the log, then write through or drop, in one step. */
export function takeEffect(fills: Fills, state: FillState, index: number): FillState {
  const change = fills.scope.writers[index]!;
  const { asOf, commit } = state.writers[index]!;
  const dropped = announced(invalidate(fills, state, change), change, commit);
  if (change.call !== "set" || asOf === undefined) return dropped;
  const { event, part } = change;
  const entry = state.entries[event];
  const accepted = accepts(fills, state, event, asOf);
  if (entry === undefined || (!accepted && fills.rules.dropFenced)) return dropped;
  const written = { ...dropped, entries: dropped.entries.with(event, withPart(entry, part, commit)) };
  return accepted ? judged(written, state, event, asOf) : written;
}

/** A call without a value to write: append to the log, then drop. */
export function invalidate({ scope, rules }: Fills, state: FillState, change: Change): FillState {
  const changed = changedEvents(scope.events, change);
  const history = [...state.history, changed];
  return {
    ...state,
    history,
    entries: state.entries.map((entry, event) => (has(changed, event) ? undefined : entry)),
    entryFences: rules.fenceInLog
      ? state.entryFences
      : state.entryFences.map((fence, event) => (has(changed, event) ? history.length : fence)),
  };
}

/** A reader's PutEvent. */
export function put(fills: Fills, state: FillState, index: number): FillState {
  const { asOf, value } = state.readers[index]!;
  const event = fills.scope.readers[index]!;
  if (asOf === undefined || value === undefined || !accepts(fills, state, event, asOf)) return state;
  return judged({ ...state, entries: state.entries.with(event, value) }, state, event, asOf);
}

/** The fence as the sidecar applies it, from what its log still holds. */
function accepts({ scope, rules }: Fills, state: FillState, event: number, asOf: Place): boolean {
  if (rules.epoch && asOf.epoch !== state.epoch) return false;
  if (asOf.sequence > state.history.length) return false;
  const reach = Math.max(0, state.history.length - scope.ring);
  if (rules.tooOld && asOf.sequence < reach) return false;
  if (!rules.fence) return true;
  if (!rules.fenceInLog) return state.entryFences[event]! <= asOf.sequence;
  return !changedAfter(state, event, Math.max(reach, asOf.sequence));
}

/** Records, for I5, an accepted write that the whole history of changes forbids. */
function judged(after: FillState, before: FillState, event: number, asOf: Place): FillState {
  if (asOf.epoch === before.epoch && !changedAfter(before, event, asOf.sequence)) return after;
  return { ...after, acceptedStale: `a write of event ${event + 1} was accepted that a change had outdated` };
}

function changedAfter({ history }: FillState, event: number, sequence: number): boolean {
  return history.slice(sequence).some((changed) => has(changed, event));
}

function changedEvents(events: number, change: Change): number {
  return change.call === "purgeRoom" ? (1 << events) - 1 : 1 << change.event;
}

function has(changed: number, event: number): boolean {
  return (changed & (1 << event)) !== 0;
}
