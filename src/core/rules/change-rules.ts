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
 * The effect of changes on the caches. A change is first described, for the log.
 * When its turn in the log has come, it is applied in one synchronous step. A
 * change by another sidecar only drops entries; a change by this one may write
 * its value.
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

  /** The change that SetRedaction announces. Its room is the caller's, else the entry's. */
  redactionChange(homeserver: HomeserverState, request: SetRedactionRequest, nowMs: number): Change {
    const { eventId, redaction, roomId = this.#roomOf(homeserver, [eventId], nowMs) } = request;
    return { kind: "redacted", roomId, eventId, redactedBy: redaction.redactedBy };
  }

  /** The change that SetRejected announces. */
  rejectionChange(homeserver: HomeserverState, request: SetRejectedRequest, nowMs: number): Change {
    const { eventId, rejected, roomId = this.#roomOf(homeserver, [eventId], nowMs) } = request;
    return { kind: "rejected", roomId, eventId, rejected };
  }

  /** The change that InvalidateEvents announces. */
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

  /** Applies a change: drops outdated entries, extends the fence and wakes the subscribers. */
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
      redaction: completeRedaction(request.redaction, variant.range!),
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
   * Both Set… calls: the change is always announced. Its value is written only if
   * no change that names the event was applied after its writer's `as_of`. So when
   * two writers race, the loser's value never remains.
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
