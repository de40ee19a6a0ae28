import type { FullObserver } from "../rpc/admission/capacity.js";
import { LineLimit } from "./line-limit.js";
import type { Log } from "./log.js";

/** Logs that a capacity is full: of each one line in 10 seconds, then how many more calls found it full. */
export function reportFullCapacities(log: Log): FullObserver {
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: 10_000,
    keysMax: CAPACITIES_MAX,
    onLeftOut: (capacity, leftOut) => log.warn("more calls found a capacity full", { capacity, leftOut }),
  });
  return ({ capacity, max, largestPeer }) => {
    if (!limit.admits(capacity)) return;
    const message =
      "a capacity is full: new calls are refused, or take the place of calls that are not in use";
    log.warn(message, { capacity, max, largestPeer: largestPeer() });
  };
}

/** More than there are. */
const CAPACITIES_MAX = 16;
