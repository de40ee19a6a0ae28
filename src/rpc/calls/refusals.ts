import { CacheError } from "../../core/model/errors.js";
import type { Full } from "../admission/capacity.js";

/** A capacity is used up; the client may try again soon. `what` says which, for a developer to read. */
export function exhausted(what: string): CacheError {
  return new CacheError("exhausted", `${what}; try again later`);
}

/** A capacity, or the share of a party, has no room; `what` is in the plural. */
export function full(bound: Full, what: string): CacheError {
  return exhausted(bound === "all" ? `too many ${what}` : `too many ${what} of this ${bound}`);
}

/** A call that was not in use has ended because others needed its place; `what` is in the plural. */
export function displaced(what: string): CacheError {
  return exhausted(`too many ${what}: one that was not in use has ended`);
}

/** A request has more bytes than any such request may have. */
export function tooLarge(bytesMax: number): CacheError {
  return new CacheError("tooLarge", `the request is larger than ${bytesMax} bytes, the limit of this call`);
}

/** A request did not arrive in time. */
export function arrivedTooSlowly(limitMs: number): CacheError {
  return new CacheError("deadlineExceeded", `the request did not arrive within ${limitMs / 1000} s`);
}

/** What arrived is not what gRPC sends. */
export function malformed(field: string, description: string): CacheError {
  return new CacheError("invalidArgument", `${field} ${description}`, {
    violations: [{ field, description }],
  });
}

/** What every refusal of a request says that is not protobuf of its message. */
export const NOT_PROTOBUF = "is not valid protobuf";

/** The server is about to stop; another one, or the next start of this one, will serve. */
export function draining(): CacheError {
  return new CacheError("unavailable", "the server is draining");
}
