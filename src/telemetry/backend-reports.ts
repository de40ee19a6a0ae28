import type { PostgresLogEvents } from "../log/postgres/failures/failure-report.js";
import type { TierObserver } from "../tier/port.js";
import type { Logger } from "./logger.js";

/** Logs the state of the PostgreSQL log. The PostgreSQL log itself reports each cause once per outage. */
export function reportPostgresLog(logger: Logger): PostgresLogEvents {
  return {
    up: () => logger.info("the invalidation log is up"),
    down: () =>
      logger.warn(
        "the invalidation log is unavailable; reads miss and changes are refused until it is up again",
      ),
    failed: (cause, message) => logger.warn(`the invalidation log failed: ${message}`, { cause }),
  };
}

/** Logs the state of the shared tier. The tier itself bounds how often it reports. */
export function reportTier(logger: Pick<Logger, "info" | "warn">): TierObserver {
  return {
    connected: (target) => logger.info("connected to the tier", { tier: target }),
    failed: (cause, reason, remedy) => {
      logger.warn("the tier failed; events that it does not return are misses", { cause, reason, remedy });
    },
  };
}
