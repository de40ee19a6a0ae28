import type { Batch, Change, Notice, SubscriptionFrame } from "../../core/model/types.js";
import * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import { toDuration, toPosition, toResetReason } from "../convert/reply.js";

/** The times in Ready and Reset. */
export interface SubscriptionTimes {
  readonly progressIntervalMs: number;
  readonly silenceLimitMs: number;
}

/** Encodes the frames of subscriptions. A batch is encoded once for all subscribers at the same position. */
export class FrameEncoder {
  readonly #times: Pick<wire.Ready, "progressInterval" | "silenceLimit">;
  readonly #batches = new WeakMap<Batch, Buffer>();

  constructor({ progressIntervalMs, silenceLimitMs }: SubscriptionTimes) {
    this.#times = {
      progressInterval: toDuration(progressIntervalMs),
      silenceLimit: toDuration(silenceLimitMs),
    };
  }

  encode(frame: SubscriptionFrame): Buffer {
    switch (frame.kind) {
      case "ready": {
        const position = toPosition(frame.position);
        return encode({ $case: "ready", value: { position, resumed: frame.resumed, ...this.#times } });
      }
      case "reset": {
        const position = toPosition(frame.position);
        return encode({
          $case: "reset",
          value: { position, reason: toResetReason(frame.reason), ...this.#times },
        });
      }
      case "batch":
        return this.#batch(frame);
      case "progress":
        return encode({ $case: "progress", value: { position: toPosition(frame.position) } });
    }
  }

  goingAway(): Buffer {
    return encode({ $case: "goingAway", value: {} });
  }

  #batch(batch: Batch): Buffer {
    let bytes = this.#batches.get(batch);
    if (bytes === undefined) {
      const value = {
        fromExclusive: toPosition(batch.from),
        toInclusive: toPosition(batch.to),
        notices: batch.notices.map(toNotice),
      };
      bytes = encode({ $case: "batch", value });
      this.#batches.set(batch, bytes);
    }
    return bytes;
  }
}

function encode(frame: wire.SubscribeResponse["frame"]): Buffer {
  return Buffer.from(wire.SubscribeResponse.encode({ frame }).finish());
}

function toNotice({ sequence, change }: Notice): wire.Notice {
  return { sequence: BigInt(sequence), change: toChange(change) };
}

function toChange(change: Change): wire.Notice["change"] {
  switch (change.kind) {
    case "redacted": {
      const { roomId = "", eventId, redactedBy } = change;
      return { $case: "eventRedacted", value: { roomId, eventId, redactedBy } };
    }
    case "rejected": {
      const { roomId = "", eventId, rejected } = change;
      return { $case: "eventRejected", value: { roomId, eventId, rejected } };
    }
    case "invalidated": {
      const { roomId = "", eventIds } = change;
      return { $case: "eventsInvalidated", value: { roomId, eventIds: [...eventIds] } };
    }
    case "roomPurged":
      return { $case: "roomPurged", value: { roomId: change.roomId } };
    case "homeserverPurged":
      return { $case: "homeserverPurged", value: {} };
  }
}
