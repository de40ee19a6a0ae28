/** A field of a request that was refused, and why. */
export interface FieldViolation {
  /** The field's path as in the contract, such as `events[3].room_id`. */
  readonly field: string;
  /** What is wrong and what the limit is. */
  readonly description: string;
}

/**
 * The closed set of failures. A miss, a refused fill and an absent event are
 * outcomes, not failures.
 *
 * - `invalidArgument`: the request is invalid; the same request never succeeds
 * - `unauthenticated`: the caller shows no valid credentials
 * - `permissionDenied`: the caller may not do this
 * - `exhausted`: a capacity is used up; retry after `retryDelayMs`
 * - `tooLarge`: the message is too large; do not retry
 * - `unavailable`: the server drains, or the log is unavailable; retry
 * - `deadlineExceeded`, `cancelled`: the caller no longer waits
 * - `internal`: a defect of the server
 */
export type CacheErrorKind =
  | "invalidArgument"
  | "unauthenticated"
  | "permissionDenied"
  | "exhausted"
  | "tooLarge"
  | "unavailable"
  | "deadlineExceeded"
  | "cancelled"
  | "internal";

interface CacheErrorOptions {
  readonly violations?: readonly FieldViolation[];
  readonly retryDelayMs?: number;
  /** For the log only: never sent to a client. */
  readonly cause?: unknown;
}

/** The only error that crosses layers. rpc/status.ts converts it into a gRPC status. */
export class CacheError extends Error {
  readonly kind: CacheErrorKind;
  readonly violations: readonly FieldViolation[];
  readonly retryDelayMs: number | undefined;

  constructor(kind: CacheErrorKind, message: string, options: CacheErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CacheError";
    this.kind = kind;
    this.violations = options.violations ?? [];
    this.retryDelayMs = options.retryDelayMs;
  }
}
