import type { PostgresLogEvents } from "../log/postgres/failure-report.js";
import type { TierLog } from "../tier/port.js";
import type { Log } from "./log.js";

/** Reports the PostgreSQL log to the operator. The log itself reports each cause once an episode. */
export function postgresLogTo(log: Log): PostgresLogEvents {
  return {
    up: () => log.info("the invalidation log is up"),
    down: () =>
      log.warn("the invalidation log is down: reads miss and changes are refused until it is up again"),
    failed: (cause, message) => log.warn(`the invalidation log failed: ${message}`, { cause }),
  };
}

/** Reports to operators what happens to the shared tier. The tier itself bounds how often. */
export function tierLogTo(log: Pick<Log, "info" | "warn">): TierLog {
  return {
    connected: (target) => log.info("connected to the tier", { tier: target }),
    failed: (cause, reason, remedy) => {
      log.warn("the tier failed: events that it does not give are misses", { cause, reason, remedy });
    },
  };
}
