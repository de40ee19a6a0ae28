import type { TierLog } from "../tier/port.js";
import type { Log } from "./log.js";

/** Reports to operators what happens to the shared tier. The tier itself bounds how often. */
export function tierLogTo(log: Pick<Log, "info" | "warn">): TierLog {
  return {
    connected: (target) => log.info("connected to the tier", { tier: target }),
    failed: (cause, reason, remedy) => {
      log.warn("the tier failed: events that it does not give are misses", { cause, reason, remedy });
    },
  };
}
