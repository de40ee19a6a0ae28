import { LogFailure } from "./failures.js";
import type { Link } from "./link.js";

/**
 * Whether both links are up, and on one server in one run. After a promotion a name or a
 * proxy may lead to another server than before, while old connections last.
 */
export function areOnOneServer(one: Link, other: Link): boolean {
  return one.isUp && other.isUp && one.incarnation === other.incarnation;
}

/** To be called when one comes up. Gives both up if they are on two servers: which is the right one is not known here. */
export function replaceIfApart(one: Link, other: Link): void {
  if (!one.isUp || !other.isUp || one.incarnation === other.incarnation) return;
  const failure = new LogFailure("unreachable", "the connections lead to two servers; both are replaced");
  one.replace(failure);
  other.replace(failure);
}
