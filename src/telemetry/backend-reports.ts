import type { PostgresLogEvents } from "../log/postgres/failures/failure-report.js";
import type { TierLog } from "../tier/port.js";
import type { Log } from "./log.js";

/** Logs the state of the PostgreSQL log. The PostgreSQL log itself reports each cause once per outage. */
export function postgresLogTo(log: Log): PostgresLogEvents {
  return {
    up: () => log.info("the invalidation log is up"),
    down: () =>
      log.warn(
        "the invalidation log is unavailable; reads miss and changes are refused until it is up again",
      ),
    failed: (cause, message) => log.warn(`the invalidation log failed: ${message}`, { cause }),
  };
}

/** Logs the state of the shared tier. The tier itself bounds how often it reports. */
export function tierLogTo(log: Pick<Log, "info" | "warn">): TierLog {
  return {
    connected: (target) => log.info("connected to the tier", { tier: target }),
    failed: (cause, reason, remedy) => {
      log.warn("the tier failed; events that it does not return are misses", { cause, reason, remedy });
    },
  };
}
