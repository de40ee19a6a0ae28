import type { LeaseClock } from "../clock.js";
import type { FailureCause } from "../failures/failures.js";
import type { PostgresLimits } from "../postgres-limits.js";
import { openLogSession } from "./open-log-session.js";
import { PostgresLink } from "./postgres-link.js";
import type { PostgresTarget } from "./session.js";

/** The settings that both links of a sidecar share. */
export interface LogLinkOptions {
  readonly target: PostgresTarget;
  readonly applicationName: string;
  readonly schema: string;
  readonly limits: PostgresLimits;
  readonly clock: LeaseClock;
  randomBytes(length: number): Buffer;
  onFailure(error: unknown): FailureCause;
}

/** The settings of one link. */
export interface LogLinkRole {
  /** Undefined: it does not listen. */
  readonly onNotification: ((payload: string) => void) | undefined;
  onUp(): void;
  onDown(): void;
}

/** A link whose sessions are on a primary whose schema fits. */
export function newLogLink(
  options: LogLinkOptions,
  { onNotification, onUp, onDown }: LogLinkRole,
): PostgresLink {
  const { limits, clock, randomBytes, onFailure } = options;
  return new PostgresLink({
    limits,
    open: (onEnd) =>
      openLogSession({ ...options, nonce: randomBytes(8).toString("hex"), onNotification, onEnd }),
    onUp,
    onDown,
    onFailure,
    random: () => randomBytes(1).readUInt8() / 255,
    nowMs: () => clock.nowMs(),
  });
}
