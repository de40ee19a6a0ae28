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

/** Reports the tier to the operator. */
export function tierLogTo(log: Log): TierLog {
  return {
    connected: (tier) => log.info("the tier is up", { tier }),
    failed: (cause, message, remedy) => log.warn(`the tier failed: ${message}`, { cause, remedy }),
  };
}
