/** The state of the subscription model: a homeserver's log, a client's stream and its near cache. */
export interface SubscriptionState {
  /** For each epoch, the last one being the present, the event that each change named. */
  readonly epochs: readonly (readonly number[])[];
  readonly disconnects: number;
  readonly stream: Stream | undefined;
  readonly client: Client;
  readonly reads: readonly Read[];
  /** Set when a Progress frame came before a notice that it covers. */
  readonly earlyProgress: string | undefined;
}

export interface Place {
  readonly epoch: number;
  readonly sequence: number;
}

export interface Stream {
  /** Where the sidecar reads the log for this subscriber; none before it is registered. */
  readonly cursor: Place | undefined;
  /** What was sent and has not been applied; it arrives in order, or the stream breaks. */
  readonly frames: readonly Frame[];
}

export type Frame =
  | { readonly kind: "ready"; readonly at: Place; readonly resumed: boolean }
  | { readonly kind: "reset"; readonly at: Place }
  | { readonly kind: "batch"; readonly to: Place; readonly events: readonly number[] }
  | { readonly kind: "progress"; readonly at: Place };

export interface Client {
  /** The last position that it has applied; none before its first Ready. */
  readonly applied: Place | undefined;
  /** Where it began to follow: of the changes up to there it has not heard one by one. */
  readonly since: number;
  /** For each event the position of the last notice that named it, applied since then. */
  readonly named: readonly number[];
  /** The notices that it has applied since then, by sequence number. */
  readonly heard: readonly number[];
  /** The near cache: for each event where it was read, and the change that it shows. */
  readonly kept: readonly (Kept | undefined)[];
}

export interface Kept {
  readonly epoch: number;
  /** The sequence number of the last change that the value shows. */
  readonly shows: number;
}

/** A GetEvents call of the client for one event, and its reply until it arrives. */
export interface Read {
  readonly phase: "idle" | "lookedUp" | "replied";
  readonly event: number;
  readonly at: Place;
  readonly value: Kept | undefined;
}

const NOWHERE: Place = { epoch: 0, sequence: 0 };

export const IDLE_READ: Read = { phase: "idle", event: 0, at: NOWHERE, value: undefined };

export const INITIAL_CLIENT: Client = {
  applied: undefined,
  since: 0,
  named: [0, 0],
  heard: [],
  kept: [undefined, undefined],
};

/** The log's current position. */
export function head({ epochs }: SubscriptionState): Place {
  return { epoch: epochs.length - 1, sequence: epochs.at(-1)!.length };
}

/** The sequence number of the last change of an event up to now, 0 if there was none. */
export function lastChange({ epochs }: SubscriptionState, event: number): number {
  return epochs.at(-1)!.findLastIndex((named) => names(named, event)) + 1;
}

/** Whether a change of `named` (an event, or ROOM) concerns an event. */
export function names(named: number, event: number): boolean {
  return named === ROOM || named === event;
}

export const EVENTS: readonly number[] = [0, 1];
/** What a change names that concerns every event. */
export const ROOM = 2;

/**
 * Of the epochs that are over, what changed in them matters no longer, only how
 * often, unless a value from them is held that it may outdate.
 */
export function keyOf({
  epochs,
  disconnects,
  stream,
  client,
  reads,
  earlyProgress,
}: SubscriptionState): string {
  const held = new Set([...client.kept, ...reads.map(({ value }) => value)].map((value) => value?.epoch));
  held.add(epochs.length - 1);
  const place = (at: Place | undefined) => (at === undefined ? "" : `${at.epoch}.${at.sequence}`);
  const copy = (value: Kept | undefined) => (value === undefined ? "" : `${value.epoch}.${value.shows}`);
  const frames = stream?.frames.map((frame) =>
    frame.kind === "batch" ? `b${place(frame.to)}:${frame.events.join("")}` : frame.kind + place(frame.at),
  );
  const calls = reads.map(({ phase, event, at, value }) => `${phase}${event}${place(at)}:${copy(value)}`);
  return [
    epochs.map((changes, epoch) => (held.has(epoch) ? changes.join("") : `#${changes.length}`)).join("/"),
    disconnects,
    stream === undefined ? "-" : place(stream.cursor) + frames,
    place(client.applied),
    client.since,
    client.named.join(),
    client.heard.join(),
    client.kept.map(copy).join(),
    calls.sort().join(),
    earlyProgress ?? "",
  ].join("|");
}
