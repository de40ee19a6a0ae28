import type { FullObserver } from "../rpc/admission/capacity.js";
import { LineLimit } from "./line-limit.js";
import type { Logger } from "./logger.js";

/** Logs that a capacity is full. Of each capacity it logs one line in 10 seconds, then the number of further calls. */
export function reportFullCapacities(logger: Logger): FullObserver {
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: 10_000,
    keysMax: CAPACITIES_MAX,
    onSuppressed: (capacity, suppressed) =>
      logger.warn("further calls found a capacity full", { capacity, suppressed }),
  });
  return ({ capacity, max, largestPeer }) => {
    if (!limit.admits(capacity)) return;
    const message = "a capacity is full; new calls are refused, or displace calls that are not in use";
    logger.warn(message, { capacity, max, largestPeer: largestPeer() });
  };
}

/** More than there are capacities. */
const CAPACITIES_MAX = 16;
