import type { MetadataCache, MetadataEntry } from "../memory/metadata-cache.js";
import { completeRedaction } from "../model/event-state.js";
import type { SetRedactionRequest, SetRejectedRequest } from "../model/store.js";
import type { Change, EventId, EventState, RoomId, SetOutcome } from "../model/types.js";
import type { HomeserverState } from "./homeserver-state.js";
import type { Sweep } from "./sweep.js";

export interface ChangeRulesOptions {
  readonly metadata: MetadataCache;
  readonly sweep: Sweep;
  /** Called for an entry to which a Set… wrote its value. */
  readonly onWritten: (homeserver: HomeserverState, entry: MetadataEntry, nowMs: number) => void;
}

/**
 * What changes do to the caches. A change is first described, for the log; when
 * the log says that it is next, it is applied, in one synchronous step. The change
 * of another sidecar only drops entries; that of this one may write its value.
 */
export class ChangeRules {
  readonly #metadata: MetadataCache;
  readonly #sweep: Sweep;
  readonly #onWritten: ChangeRulesOptions["onWritten"];

  constructor({ metadata, sweep, onWritten }: ChangeRulesOptions) {
    this.#metadata = metadata;
    this.#sweep = sweep;
    this.#onWritten = onWritten;
  }

  /** What SetRedaction announces. The room is the caller's, else the entry's. */
  redactionChange(homeserver: HomeserverState, request: SetRedactionRequest, nowMs: number): Change {
    const { eventId, redaction, roomId = this.#roomOf(homeserver, [eventId], nowMs) } = request;
    return { kind: "redacted", roomId, eventId, redactedBy: redaction.redactedBy };
  }

  /** What SetRejected announces. */
  rejectionChange(homeserver: HomeserverState, request: SetRejectedRequest, nowMs: number): Change {
    const { eventId, rejected, roomId = this.#roomOf(homeserver, [eventId], nowMs) } = request;
    return { kind: "rejected", roomId, eventId, rejected };
  }

  /** What InvalidateEvents announces. */
  invalidationChange(
    homeserver: HomeserverState,
    givenRoomId: RoomId | undefined,
    eventIds: readonly EventId[],
    nowMs: number,
  ): Change {
    const unique = [...new Set(eventIds)];
    return {
      kind: "invalidated",
      roomId: givenRoomId ?? this.#roomOf(homeserver, unique, nowMs),
      eventIds: unique,
    };
  }

  /** Applies a change: drops what it outdates, fences it and wakes the subscribers. */
  apply(homeserver: HomeserverState, change: Change): void {
    switch (change.kind) {
      case "redacted":
      case "rejected":
        this.#drop(homeserver, change.eventId);
        break;
      case "invalidated":
        for (const eventId of change.eventIds) this.#drop(homeserver, eventId);
        break;
      case "roomPurged":
        this.#sweep.expectDead(this.#metadata.purgeRoom(homeserver.metadata, change.roomId));
        break;
      case "homeserverPurged":
        homeserver.dropMetadata();
        break;
    }
    homeserver.announce(change);
  }

  /** Applies the change of a SetRedaction and writes its value, or drops the entry. */
  applyRedaction(
    homeserver: HomeserverState,
    change: Change,
    request: SetRedactionRequest,
    nowMs: number,
  ): SetOutcome {
    return this.#applySet(homeserver, change, request, nowMs, ({ state, variant }) => ({
      rejected: state.rejected,
      rejectedReason: state.rejectedReason,
      redaction: completeRedaction(request.redaction, variant.frame!),
    }));
  }

  /** Applies the change of a SetRejected and writes its value, or drops the entry. */
  applyRejection(
    homeserver: HomeserverState,
    change: Change,
    request: SetRejectedRequest,
    nowMs: number,
  ): SetOutcome {
    const { rejected, rejectedReason } = request;
    return this.#applySet(homeserver, change, request, nowMs, ({ state }) => ({
      rejected,
      rejectedReason,
      redaction: state.redaction,
    }));
  }

  /** The room of the homeserver's live entries of these events, if it is the same for all. */
  #roomOf(homeserver: HomeserverState, eventIds: readonly EventId[], nowMs: number): RoomId | undefined {
    const rooms = eventIds.map(
      (eventId) => this.#metadata.live(homeserver.metadata, eventId, nowMs)?.room.roomId,
    );
    return rooms.every((roomId) => roomId === rooms[0]) ? rooms[0] : undefined;
  }

  #drop(homeserver: HomeserverState, eventId: EventId): void {
    const entry = homeserver.metadata.entries.get(eventId);
    if (entry !== undefined) this.#metadata.drop(entry);
  }

  /**
   * Both Set… calls: the change is always announced; its value is written only if
   * nothing that names the event was applied since its writer's `as_of`, so that of
   * two writers that race neither leaves the loser's value behind.
   */
  #applySet(
    homeserver: HomeserverState,
    change: Change,
    { eventId, roomId, asOf }: SetRedactionRequest | SetRejectedRequest,
    nowMs: number,
    newState: (entry: MetadataEntry) => EventState,
  ): SetOutcome {
    const entry = this.#metadata.live(homeserver.metadata, eventId, nowMs);
    const isUnfenced =
      entry !== undefined &&
      asOf !== undefined &&
      (roomId === undefined || roomId === entry.room.roomId) &&
      homeserver.log.judge(asOf, eventId, entry.room.roomId) === "stored";
    if (isUnfenced) {
      this.#metadata.setState(entry, newState(entry));
      homeserver.announce(change);
      this.#onWritten(homeserver, entry, nowMs);
    } else {
      this.apply(homeserver, change);
    }
    const outcome = entry === undefined ? "absent" : isUnfenced ? "applied" : "dropped";
    homeserver.counters.sets[outcome] += 1;
    return outcome;
  }
}
