import type { PutResult, SetResult } from "../../core/model/store.js";
import type { Position, PutOutcome, ResetReason, SetOutcome } from "../../core/model/types.js";
import type { Duration } from "../../gen/google/protobuf/duration.js";
import * as wire from "../../gen/splitcache/v1/event_cache_service.js";

/** Converts the results of the core to messages of the contract. */

export function toPosition(position: Position): wire.Position {
  return { epoch: Buffer.from(position.epoch, "hex"), sequence: BigInt(position.sequence) };
}

/** A span of whole milliseconds. */
export function toDuration(milliseconds: number): Duration {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds: BigInt(seconds), nanos: (milliseconds - seconds * 1000) * 1_000_000 };
}

export function toPutEventResponse(result: PutResult): wire.PutEventResponse {
  const outcome = result.outcomes[0];
  return {
    outcome: outcome === undefined ? wire.PutOutcome.UNSPECIFIED : PUT_OUTCOMES[outcome],
    position: result.position && toPosition(result.position),
  };
}

export function toPutEventsResponse(result: PutResult): wire.PutEventsResponse {
  return {
    outcomes: result.outcomes.map((outcome) => PUT_OUTCOMES[outcome]),
    position: result.position && toPosition(result.position),
  };
}

/** The form of both SetRedactionResponse and SetRejectedResponse. */
export function toSetResponse(result: SetResult): wire.SetRedactionResponse & wire.SetRejectedResponse {
  return { outcome: SET_OUTCOMES[result.outcome], position: toPosition(result.position) };
}

/** The form of each response that contains only a position. */
export function toPositionResponse(position: Position): { position: wire.Position } {
  return { position: toPosition(position) };
}

export function toResetReason(reason: ResetReason): wire.ResetReason {
  return RESET_REASONS[reason];
}

const PUT_OUTCOMES: Readonly<Record<PutOutcome, wire.PutOutcome>> = {
  stored: wire.PutOutcome.STORED,
  fenced: wire.PutOutcome.FENCED,
  tooOld: wire.PutOutcome.TOO_OLD,
  wrongEpoch: wire.PutOutcome.WRONG_EPOCH,
  unverified: wire.PutOutcome.UNVERIFIED,
};

const SET_OUTCOMES: Readonly<Record<SetOutcome, wire.SetOutcome>> = {
  applied: wire.SetOutcome.APPLIED,
  dropped: wire.SetOutcome.DROPPED,
  absent: wire.SetOutcome.ABSENT,
};

const RESET_REASONS: Readonly<Record<ResetReason, wire.ResetReason>> = {
  wrongEpoch: wire.ResetReason.WRONG_EPOCH,
  tooOld: wire.ResetReason.TOO_OLD,
};
