import { afterEach } from "vitest";
import type { Change, Position } from "../../../src/core/model/types.js";
import type { HomeserverLog, Log } from "../../../src/log/port.js";
import type { PostgresTarget } from "../../../src/log/postgres/connection/session.js";
import type { FailureCause } from "../../../src/log/postgres/failures/failures.js";
import { POSTGRES_LIMITS, type PostgresLimits } from "../../../src/log/postgres/postgres-limits.js";
import type { PostgresLogOptions } from "../../../src/log/postgres/postgres-log.js";
import { createPostgresLog } from "../../../src/log/postgres/postgres-log.js";
import { eventually } from "../eventually.js";
import { RecordingCopy } from "./recording-copy.js";

/** A log of its own, as a sidecar has one, with what it reported. */
export interface LogUnderTest {
  readonly log: Log;
  readonly failures: { readonly cause: FailureCause; readonly message: string }[];
  /** "up" and "down", in order. */
  readonly states: string[];
  follow(homeserver?: string): FollowedUnderTest;
}

export interface FollowedUnderTest {
  readonly log: HomeserverLog;
  readonly copy: RecordingCopy;
  /** Appends as the core does: its own sidecar writes a value through. */
  append(change: Change): Promise<Position>;
  untilCurrent(): Promise<void>;
}

const open: Log[] = [];

/** Starts a log that is closed after the test. */
export function startLog(
  target: PostgresTarget,
  options: Partial<Omit<PostgresLogOptions, "limits">> & { limits?: Partial<PostgresLimits> } = {},
): LogUnderTest {
  const failures: LogUnderTest["failures"] = [];
  const states: string[] = [];
  const log = createPostgresLog({
    target,
    ...options,
    events: {
      failed: (cause, message) => void failures.push({ cause, message }),
      up: () => void states.push("up"),
      down: () => void states.push("down"),
    },
    limits: { ...POSTGRES_LIMITS, ...options.limits },
  });
  open.push(log);
  return { log, failures, states, follow: (homeserver) => follow(log, homeserver) };
}

/** To be called in each test file. */
export function closeLogsAfterEach(): void {
  afterEach(async () => {
    await Promise.all(open.splice(0).map((log) => log.close()));
  });
}

function follow(log: Log, homeserver?: string): FollowedUnderTest {
  const copy = new RecordingCopy(homeserver);
  const followed = log.follow(copy);
  return {
    log: followed,
    copy,
    append: (change) => followed.append(change, copy.writeThrough(change)),
    untilCurrent: async () => {
      await eventually(() => {
        if (!followed.isCurrent()) throw new Error("the copy is not current");
      });
    },
  };
}
