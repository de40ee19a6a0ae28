import { encodedBody, encodedRoomVersion } from "../memory/encoded-event.js";
import { redactEvent } from "../redaction/redaction.js";
import type { ByteRange, EventState, NewEvent, Redaction } from "./types.js";

/** The state of most events, as one shared object. */
const PLAIN_STATE: EventState = Object.freeze({ rejected: false, rejectedReason: "", redaction: undefined });

/** The state that a put gives its event, in memory of its own. */
export function stateOf(event: NewEvent): EventState {
  const { rejected, rejectedReason, redaction } = event;
  if (!rejected && rejectedReason === "" && redaction === undefined) return PLAIN_STATE;
  return { rejected, rejectedReason, redaction: redaction && ownCopy(redaction) };
}

/** A redaction of an encoded event, with the redacted body if it is given or can be made. */
export function completeRedaction(redaction: Redaction, encoded: ByteRange): Redaction {
  if (redaction.redactedBody !== undefined) return ownCopy(redaction);
  return {
    redactedBy: redaction.redactedBy,
    redactedBody: redactEvent(encodedBody(encoded), encodedRoomVersion(encoded)),
  };
}

/** The same in memory of its own. */
function ownCopy({ redactedBy, redactedBody }: Redaction): Redaction {
  return { redactedBy, redactedBody: redactedBody && copyOf(redactedBody) };
}

/** Whether the event is redacted and its redacted text could not be made: only its original text can be returned. */
export function isUnredactable({ redaction }: EventState): boolean {
  return redaction !== undefined && redaction.redactedBody === undefined;
}

function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  copy.set(bytes);
  return copy;
}
