import { LogFailure } from "../failures/failures.js";
import type { Link } from "./link.js";

/**
 * Whether both links are up and connected to the same server in the same incarnation. After
 * a promotion a name or a proxy may lead to another server, while old connections last.
 */
export function areOnOneServer(one: Link, other: Link): boolean {
  return one.isUp && other.isUp && one.incarnation === other.incarnation;
}

/** Called when a link comes up. Resets both if they lead to two servers: the right one is not known here. */
export function replaceIfApart(one: Link, other: Link): void {
  if (!one.isUp || !other.isUp || one.incarnation === other.incarnation) return;
  const failure = new LogFailure("unreachable", "the connections lead to two servers; both are replaced");
  one.replace(failure);
  other.replace(failure);
}
