import { mayName, type Principal } from "../../auth/principal.js";
import { CacheError } from "../../core/model/errors.js";
import type { Full } from "../admission/capacity.js";

/** A capacity is full; the client may retry soon. `what` describes it for developers. */
export function exhausted(what: string): CacheError {
  return new CacheError("exhausted", `${what}; try again later`);
}

/** A capacity, or the share of a party, has no room; `what` is in the plural. */
export function full(bound: Full, what: string): CacheError {
  return exhausted(bound === "all" ? `too many ${what}` : `too many ${what} of this ${bound}`);
}

/** A call that was not in use was ended because another call needed its place. `what` is in the plural. */
export function displaced(what: string): CacheError {
  return exhausted(`too many ${what}; this call was ended because it was not in use`);
}

/** A request is larger than its limit. */
export function tooLarge(bytesMax: number): CacheError {
  return new CacheError("tooLarge", `the request is larger than ${bytesMax} bytes, the limit of this call`);
}

/** A request did not arrive in time. */
export function arrivedTooSlowly(limitMs: number): CacheError {
  return new CacheError("deadlineExceeded", `the request did not arrive within ${limitMs / 1000} s`);
}

/** The received data is not valid gRPC. */
export function malformed(field: string, description: string): CacheError {
  return new CacheError("invalidArgument", `${field} ${description}`, {
    violations: [{ field, description }],
  });
}

/** The description of a request that cannot be decoded. */
export const NOT_PROTOBUF = "is not valid protobuf";

/** The server stops or is drained; another server, or the same server later, accepts the call. */
export function draining(): CacheError {
  return new CacheError("unavailable", "the server is draining");
}

/**
 * Why a client may not name this homeserver, or undefined. It is asked before anything is looked up, so that
 * neither the answer nor its time depends on whether the homeserver is known. An empty name is no name.
 */
export function denied(principal: Principal | undefined, homeserver: string): CacheError | undefined {
  if (principal === undefined || homeserver === "" || mayName(principal, homeserver)) return undefined;
  return new CacheError("permissionDenied", "this client may not act for the homeserver of the request");
}
