import { CacheError } from "../core/errors.js";

/** A capacity is used up; the client may try again soon. `what` says which, for a developer to read. */
export function exhausted(what: string): CacheError {
  return new CacheError("exhausted", `${what}; try again later`);
}

/** The server is about to stop; another one, or the next start of this one, will serve. */
export function draining(): CacheError {
  return new CacheError("unavailable", "the server is draining");
}
