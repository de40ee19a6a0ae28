import type { PostgresTarget } from "./connection/target.js";
import type { PostgresLogEvents } from "./failures/failure-report.js";
import type { LeaseClock } from "./membership/clock.js";
import type { PostgresLimits } from "./postgres-limits.js";

export interface PostgresLogOptions {
  readonly target: PostgresTarget;
  /** The schema that holds the tables; also the channel of notifications. */
  readonly schema?: string;
  readonly events: PostgresLogEvents;
  /** How this sidecar's connections are named in pg_stat_activity. */
  readonly applicationName?: string;
  readonly limits?: PostgresLimits;
  readonly clock?: LeaseClock;
  readonly randomBytes?: (length: number) => Buffer;
}
