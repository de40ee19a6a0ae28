import type { Model, Step } from "../explore.js";
import { applyFrame, arrive, firstUnheard } from "./subscription-client.js";
import {
  SUBSCRIPTION_RULES,
  type Subscription,
  type SubscriptionRules,
  type SubscriptionScope,
} from "./subscription-rules.js";
import {
  EVENTS,
  type Frame,
  head,
  IDLE_READ,
  INITIAL_CLIENT,
  keyOf,
  lastChange,
  names,
  type Place,
  type Read,
  ROOM,
  type Stream,
  type SubscriptionState,
} from "./subscription-state.js";

/**
 * A sidecar's log, a subscription to it that lags, breaks and resumes, and the
 * client's near cache, which it fills by reads whose replies take their time.
 * What the sidecar itself serves is always current here: see the fill model.
 */
export function subscriptionModel(
  scope: SubscriptionScope,
  broken: Partial<SubscriptionRules> = {},
): Model<SubscriptionState> {
  const subscription: Subscription = { scope, rules: { ...SUBSCRIPTION_RULES, ...broken } };
  return {
    initial: {
      epochs: [[]],
      disconnects: 0,
      stream: undefined,
      client: INITIAL_CLIENT,
      reads: Array.from({ length: scope.reads }, () => IDLE_READ),
      earlyProgress: undefined,
    },
    next: (state) => [
      ...logSteps(subscription, state),
      ...(state.stream === undefined
        ? [{ label: "the client subscribes", state: subscribe(subscription, state) }]
        : streamSteps(subscription, state, state.stream)),
      ...state.reads.flatMap((read, index) => readSteps(subscription, state, read, index)),
    ],
    key: keyOf,
    invariants: { I2: outdatedKept, I3: silentGap, I4: ({ earlyProgress }) => earlyProgress },
  };
}

function logSteps({ scope }: Subscription, state: SubscriptionState): Step<SubscriptionState>[] {
  const { epochs } = state;
  const steps: Step<SubscriptionState>[] = [];
  if (epochs.flat().length < scope.changes) {
    for (const event of [...EVENTS, ROOM]) {
      const label = event === ROOM ? "the room is purged" : `event ${event + 1} changes`;
      const changed = epochs.with(-1, [...epochs.at(-1)!, event]);
      steps.push({ label, state: { ...state, epochs: changed } });
    }
  }
  if (epochs.length < scope.epochs) {
    const restarted = { ...state, epochs: [...epochs, []] };
    steps.push({ label: "the homeserver is purged with a new epoch", state: restarted });
    steps.push({ label: "the sidecar restarts: a new epoch", state: { ...restarted, stream: undefined } });
  }
  return steps;
}

function streamSteps(
  subscription: Subscription,
  state: SubscriptionState,
  stream: Stream,
): Step<SubscriptionState>[] {
  const steps: Step<SubscriptionState>[] = [];
  const [frame, ...later] = stream.frames;
  if (frame !== undefined) {
    const taken = { ...state, stream: { ...stream, frames: later } };
    steps.push({
      label: `the client applies ${describe(frame)}`,
      state: applyFrame(taken, frame),
    });
  }
  if (state.disconnects < subscription.scope.disconnects) {
    const broken = { ...state, stream: undefined, disconnects: state.disconnects + 1 };
    steps.push({ label: "the stream breaks", state: broken });
  }
  const { cursor } = stream;
  if (cursor === undefined) {
    const registered = { ...state, stream: { ...stream, cursor: head(state) } };
    return [...steps, { label: "the sidecar registers the subscriber", state: registered }];
  }
  if (stream.frames.length < subscription.scope.frames)
    steps.push(...sendSteps(subscription, state, stream, cursor));
  return steps;
}

function sendSteps(
  subscription: Subscription,
  state: SubscriptionState,
  stream: Stream,
  cursor: Place,
): Step<SubscriptionState>[] {
  const send = (frame: Frame, at: Place): Step<SubscriptionState> => ({
    label: `the sidecar sends ${describe(frame)}`,
    state: { ...state, stream: { cursor: at, frames: [...stream.frames, frame] } },
  });
  const to = head(state);
  const reach = reachOf(subscription, state);
  if (cursor.epoch !== to.epoch) return [send({ kind: "reset", at: to }, to)];
  if (cursor.sequence < reach && subscription.rules.cursorTooOld)
    return [send({ kind: "reset", at: to }, to)];
  const steps = [send({ kind: "progress", at: subscription.rules.progressOfCursor ? cursor : to }, cursor)];
  if (cursor.sequence < to.sequence) {
    const events = state.epochs.at(-1)!.slice(Math.max(cursor.sequence, reach));
    steps.push(send({ kind: "batch", to, events }, to));
  }
  return steps;
}

/** Ready or Reset, and the cursor from which the stream goes on. */
function subscribe(subscription: Subscription, state: SubscriptionState): SubscriptionState {
  const { resumeTooOld, resumeEpoch, registerAtOnce } = subscription.rules;
  const { applied } = state.client;
  const at = head(state);
  const reach = reachOf(subscription, state);
  const begin = (frame: Frame, cursor: Place | undefined) => ({
    ...state,
    stream: { cursor, frames: [frame] },
  });
  if (applied === undefined) {
    return begin({ kind: "ready", at, resumed: false }, registerAtOnce ? at : undefined);
  }
  const otherEpoch = (resumeEpoch && applied.epoch !== at.epoch) || applied.sequence > at.sequence;
  const tooOld = resumeTooOld && applied.sequence < reach;
  if (otherEpoch || tooOld) return begin({ kind: "reset", at }, registerAtOnce ? at : undefined);
  const from = { epoch: at.epoch, sequence: Math.max(applied.sequence, reach) };
  return begin({ kind: "ready", at: from, resumed: true }, from);
}

/** What one of the client's reads may do next. */
function readSteps(
  { rules }: Subscription,
  state: SubscriptionState,
  read: Read,
  index: number,
): Step<SubscriptionState>[] {
  const at = head(state);
  const to = (next: SubscriptionState, changed: Read): SubscriptionState => ({
    ...next,
    reads: next.reads.with(index, changed),
  });
  switch (read.phase) {
    case "idle":
      return EVENTS.map((event) => {
        const value = { epoch: at.epoch, shows: lastChange(state, event) };
        const phase = rules.positionFirst ? "replied" : "lookedUp";
        const label = `the sidecar looks up event ${event + 1} for the client`;
        return { label, state: to(state, { phase, event, at, value }) };
      });
    case "lookedUp": {
      const replied = to(state, { ...read, phase: "replied", at });
      return [{ label: "the sidecar adds its position to the reply", state: replied }];
    }
    case "replied": {
      const arrived = to(arrive(rules, state, read), IDLE_READ);
      return [{ label: `the reply about event ${read.event + 1} arrives`, state: arrived }];
    }
  }
}

/** The position after which the log still holds every change. */
function reachOf({ scope }: Subscription, state: SubscriptionState): number {
  return Math.max(0, head(state).sequence - scope.ring);
}

function describe(frame: Frame): string {
  switch (frame.kind) {
    case "ready":
      return frame.resumed ? `Ready, resumed after ${frame.at.sequence}` : `Ready at ${frame.at.sequence}`;
    case "reset":
      return `Reset to ${frame.at.sequence}`;
    case "batch":
      return `a Batch up to ${frame.to.sequence}`;
    case "progress":
      return `Progress(${frame.at.sequence})`;
  }
}

/** I2: of what is kept nothing was outdated by a change up to the applied position, or is of another epoch. */
function outdatedKept({ client: { applied, kept }, epochs }: SubscriptionState): string | undefined {
  for (const event of EVENTS) {
    const copy = kept[event];
    if (copy === undefined) continue;
    if (applied?.epoch !== copy.epoch) return `event ${event + 1} is kept across an epoch`;
    const outdating =
      epochs[copy.epoch]!.findIndex((named, at) => at >= copy.shows && names(named, event)) + 1;
    if (outdating > 0 && outdating <= applied.sequence) {
      return `event ${event + 1} is kept, change ${outdating} outdated it, ${applied.sequence} is applied`;
    }
  }
  return undefined;
}

/** I3: of the changes since the client began to follow, each up to the applied position was heard. */
function silentGap({ client }: SubscriptionState): string | undefined {
  const missed = client.applied && firstUnheard(client, client.applied);
  if (missed === undefined) return undefined;
  return `${client.applied?.sequence} is applied, change ${missed} was never heard of`;
}
