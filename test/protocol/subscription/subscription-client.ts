import type { SubscriptionRules } from "./subscription-rules.js";
import {
  type Client,
  EVENTS,
  type Frame,
  INITIAL_CLIENT,
  names,
  type Place,
  type Read,
  type SubscriptionState,
} from "./subscription-state.js";

/** A frame of the subscription is applied. */
export function applyFrame(state: SubscriptionState, frame: Frame): SubscriptionState {
  const { client } = state;
  switch (frame.kind) {
    case "ready":
      return frame.resumed ? state : { ...state, client: begin(frame.at) };
    case "reset":
      return { ...state, client: begin(frame.at) };
    case "batch":
      return { ...state, client: applyBatch(client, frame.to, frame.events) };
    case "progress": {
      const missed = firstUnheard(client, frame.at);
      const applied = { ...state, client: { ...client, applied: frame.at } };
      if (missed === undefined) return applied;
      return { ...applied, earlyProgress: `Progress(${frame.at.sequence}) came before change ${missed}` };
    }
  }
}

/** The reply to a read arrives: its value is kept, or not. */
export function arrive(
  rules: SubscriptionRules,
  state: SubscriptionState,
  { event, at, value }: Read,
): SubscriptionState {
  const { client } = state;
  const { applied } = client;
  if (applied === undefined) return state;
  if (rules.replyEpoch && applied.epoch !== at.epoch) return state;
  if (rules.resetNamesAll && client.since > at.sequence) return state;
  if (rules.replyChecked && client.named[event]! > at.sequence) return state;
  return { ...state, client: { ...client, kept: client.kept.with(event, value) } };
}

/** Everything is dropped. */
function begin(at: Place): Client {
  return { ...INITIAL_CLIENT, applied: at, since: at.sequence };
}

/** Its notices are the last changes up to `to`. */
function applyBatch(client: Client, to: Place, events: readonly number[]): Client {
  const named = [...client.named];
  const kept = [...client.kept];
  const heard = [...client.heard];
  for (const [index, change] of events.entries()) {
    const sequence = to.sequence - events.length + 1 + index;
    heard.push(sequence);
    for (const event of EVENTS.filter((each) => names(change, each))) {
      named[event] = sequence;
      kept[event] = undefined;
    }
  }
  return { ...client, applied: to, named, kept, heard };
}

/** The first change since the client began to follow, up to a place, of which it has had no notice. */
export function firstUnheard({ since, heard }: Client, upTo: Place): number | undefined {
  for (let sequence = since + 1; sequence <= upTo.sequence; sequence++) {
    if (!heard.includes(sequence)) return sequence;
  }
  return undefined;
}
