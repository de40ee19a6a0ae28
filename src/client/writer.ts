import {
  type CachedEvent,
  EventCacheServiceService as Methods,
  type Notice,
  PutOutcome,
  RedactionView,
  SetOutcome,
} from "../gen/splitcache/v1/event_cache_service.js";
import type { Calls } from "./calls.js";
import { SplitCacheError } from "./errors.js";
import { chunks, type EventToPut, putBatches, wireEvent } from "./events.js";
import { EVENT_IDS_MAX } from "./limits.js";
import type { CallOptions } from "./options.js";
import type { Position } from "./position.js";

export type PutOutcomeName = "stored" | "fenced" | "too old" | "wrong epoch" | "unverified" | "unspecified";
export type SetOutcomeName = "applied" | "dropped" | "absent" | "unspecified";

const PUT_OUTCOMES: Readonly<Record<PutOutcome, PutOutcomeName>> = {
  [PutOutcome.UNSPECIFIED]: "unspecified",
  [PutOutcome.STORED]: "stored",
  [PutOutcome.FENCED]: "fenced",
  [PutOutcome.TOO_OLD]: "too old",
  [PutOutcome.WRONG_EPOCH]: "wrong epoch",
  [PutOutcome.UNVERIFIED]: "unverified",
};
const SET_OUTCOMES: Readonly<Record<SetOutcome, SetOutcomeName>> = {
  [SetOutcome.UNSPECIFIED]: "unspecified",
  [SetOutcome.APPLIED]: "applied",
  [SetOutcome.DROPPED]: "dropped",
  [SetOutcome.ABSENT]: "absent",
};

/** Options of a call that announces a change. */
export interface ChangeOptions extends CallOptions {
  /** The event's room; leave it out if it is not known. */
  readonly roomId?: string | undefined;
}

export interface SetOptions extends ChangeOptions {
  /** A position from before the database snapshot that shows the change. Without it the entry is dropped. */
  readonly asOf?: Position | undefined;
}

/** The outcome for the homeserver's entry, and the position after the change. */
export interface SetResult {
  readonly outcome: SetOutcomeName;
  readonly position: Position;
}

/** Is given each change that the sidecar has answered OK, before the call resolves. */
export type OnAnnounced = (change: Notice["change"], position: Position) => void;

/** The calls that write. Each may be repeated: at worst a repeat turns a hit into a miss. */
export class Writer {
  readonly #calls: Calls;
  readonly #homeserver: string;
  readonly #onAnnounced: OnAnnounced;

  constructor(calls: Calls, homeserver: string, onAnnounced: OnAnnounced) {
    this.#calls = calls;
    this.#homeserver = homeserver;
    this.#onAnnounced = onAnnounced;
  }

  async position(options: CallOptions & { readonly repeats?: boolean } = {}): Promise<Position> {
    const request = { homeserver: this.#homeserver, eventIds: [], minPosition: undefined };
    const redactionView = RedactionView.UNSPECIFIED;
    return present(
      (await this.#calls.call(Methods.getEvents, { ...request, redactionView }, options)).position,
    );
  }

  async put(events: readonly EventToPut[], asOf: Position, options?: CallOptions): Promise<PutOutcomeName[]> {
    const outcomes: PutOutcomeName[] = [];
    for (const batch of putBatches(events.map(wireEvent)))
      outcomes.push(...(await this.#put(batch, asOf, options)));
    return outcomes;
  }

  async redact(
    eventId: string,
    redaction: NonNullable<EventToPut["redaction"]>,
    { roomId = "", asOf, ...options }: SetOptions = {},
  ): Promise<SetResult> {
    const wire = wireEvent({ eventId, roomId, roomVersion: "", body: "", redaction }).redaction;
    const request = { homeserver: this.#homeserver, roomId, eventId, redaction: wire, asOf };
    const { outcome, position } = await this.#calls.call(Methods.setRedaction, request, options);
    const { redactedBy } = redaction;
    this.#onAnnounced({ $case: "eventRedacted", value: { roomId, eventId, redactedBy } }, present(position));
    return { outcome: SET_OUTCOMES[outcome], position: present(position) };
  }

  async reject(
    eventId: string,
    rejected: boolean,
    { roomId = "", asOf, reason = "", ...options }: SetOptions & { readonly reason?: string } = {},
  ): Promise<SetResult> {
    const request = { homeserver: this.#homeserver, roomId, eventId, rejected, rejectedReason: reason, asOf };
    const { outcome, position } = await this.#calls.call(Methods.setRejected, request, options);
    this.#onAnnounced({ $case: "eventRejected", value: { roomId, eventId, rejected } }, present(position));
    return { outcome: SET_OUTCOMES[outcome], position: present(position) };
  }

  async invalidate(
    eventIds: readonly string[],
    { roomId = "", ...options }: ChangeOptions & { readonly repeats?: boolean } = {},
  ): Promise<Position> {
    if (eventIds.length === 0) throw new RangeError("eventIds: must name at least one event");
    let last: Position | undefined;
    for (const ids of chunks(eventIds, EVENT_IDS_MAX)) {
      const request = { homeserver: this.#homeserver, roomId, eventIds: ids };
      const { position } = await this.#calls.call(Methods.invalidateEvents, request, options);
      last = present(position);
      this.#onAnnounced({ $case: "eventsInvalidated", value: { roomId, eventIds: ids } }, last);
    }
    return present(last);
  }

  async purgeRoom(roomId: string, options?: CallOptions & { readonly repeats?: boolean }): Promise<Position> {
    const request = { homeserver: this.#homeserver, roomId };
    const position = present((await this.#calls.call(Methods.purgeRoom, request, options)).position);
    this.#onAnnounced({ $case: "roomPurged", value: { roomId } }, position);
    return position;
  }

  async purgeHomeserver({
    newEpoch = false,
    ...options
  }: CallOptions & { readonly repeats?: boolean; readonly newEpoch?: boolean } = {}): Promise<Position> {
    const request = { homeserver: this.#homeserver, newEpoch };
    const position = present((await this.#calls.call(Methods.purgeHomeserver, request, options)).position);
    this.#onAnnounced({ $case: "homeserverPurged", value: {} }, position);
    return position;
  }

  async #put(events: CachedEvent[], asOf: Position, options?: CallOptions): Promise<PutOutcomeName[]> {
    const request = { homeserver: this.#homeserver, events, asOf };
    const { outcomes } = await this.#calls.call(Methods.putEvents, request, options);
    return outcomes.map((outcome) => PUT_OUTCOMES[outcome]);
  }
}

function present(position: Position | undefined): Position {
  if (position === undefined)
    throw new SplitCacheError("BROKEN_STREAM", "a reply of the sidecar has no position");
  return position;
}
