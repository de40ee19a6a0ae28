import { isReader, type Principal } from "../../auth/principal.js";
import { CacheError } from "../../core/model/errors.js";
import type { ReadRequest } from "../../core/model/store.js";
import type { ReadResult } from "../../core/model/types.js";

/** A read as its caller may make it. Throws `permissionDenied` for a reader that asks for originals. */
export function readOf(caller: Principal | undefined, read: ReadRequest): ReadRequest {
  if (!isReader(caller) || read.view === "redacted") return read;
  throw new CacheError("permissionDenied", "redaction_view: a reader reads in the REDACTED view");
}

/** The result of a read as its caller sees it: a reader gets no rejected events and no internal metadata. */
export function asSeenBy(caller: Principal | undefined, result: ReadResult): ReadResult {
  if (!isReader(caller)) return result;
  const events = result.events.map((event) => {
    if (event === undefined || event.state.rejected) return undefined;
    const { eventId, encoded, state } = event;
    return { eventId, encoded, state, internalMetadata: "" };
  });
  return { position: result.position, events };
}
