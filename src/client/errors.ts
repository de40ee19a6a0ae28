import { type ServiceError, status } from "@grpc/grpc-js";
import type { Any } from "../gen/google/protobuf/any.js";
import { BadRequest, RetryInfo } from "../gen/google/rpc/error_details.js";
import { Status } from "../gen/google/rpc/status.js";

/** The name of a gRPC status, or a failure that this library finds itself. */
export type SplitCacheErrorCode =
  | Exclude<keyof typeof status, "OK">
  /** The client was closed. */
  | "CLOSED"
  /** An epoch came back after another epoch: two sidecars without a common log answer at one address. */
  | "TWO_LOGS"
  /** The sidecar broke the contract of its stream. */
  | "BROKEN_STREAM";

/** Why a call failed. A miss, a refused put and an absent event are outcomes, never errors. */
export class SplitCacheError extends Error {
  override readonly name = "SplitCacheError";
  readonly code: SplitCacheErrorCode;
  /** How long to wait before the call is repeated; undefined: repeating it does not help. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: SplitCacheErrorCode,
    message: string,
    options: ErrorOptions & { readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Turns the failure of a call into an error that names what the sidecar refused. */
export function errorOf(failure: unknown): SplitCacheError {
  if (failure instanceof SplitCacheError) return failure;
  if (!isServiceError(failure)) {
    const message = failure instanceof Error ? failure.message : String(failure);
    return new SplitCacheError("INTERNAL", message, { cause: failure });
  }
  const [bytes] = failure.metadata.get("grpc-status-details-bin");
  const details = bytes instanceof Buffer ? Status.decode(bytes).details : [];
  return statusError(failure.code, failure.details, details, failure);
}

/** The error of a status: of a call, or of one request on a read stream. */
export function statusError(
  code: number,
  message: string,
  details: readonly Any[],
  cause?: unknown,
): SplitCacheError {
  const name = (status[code] ?? "UNKNOWN") as SplitCacheErrorCode;
  const violations = detailsOf(details, "BadRequest").flatMap(
    (value) => BadRequest.decode(value).fieldViolations,
  );
  const text = violations.map(({ field, description }) => `${field} ${description}`).join("; ") || message;
  return new SplitCacheError(name, `${name}: ${text}`, { cause, retryAfterMs: retryAfter(name, details) });
}

/** Whether the sidecar refused the client's credentials. */
export function isRefused({ code }: SplitCacheError): boolean {
  return code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED";
}

/** Whether a stream that failed in this way would fail again, whichever sidecar answers. */
export function isPermanent(error: SplitCacheError): boolean {
  return isRefused(error) || ["INVALID_ARGUMENT", "UNIMPLEMENTED", "TWO_LOGS"].includes(error.code);
}

const RETRY_AFTER_MS = 25;

/** The contract permits a repeat after UNAVAILABLE, and after RESOURCE_EXHAUSTED with RetryInfo. */
function retryAfter(code: SplitCacheErrorCode, details: readonly Any[]): number | undefined {
  if (code === "UNAVAILABLE") return RETRY_AFTER_MS;
  if (code !== "RESOURCE_EXHAUSTED") return undefined;
  const [value] = detailsOf(details, "RetryInfo");
  if (value === undefined) return undefined;
  const { seconds = 0n, nanos = 0 } = RetryInfo.decode(value).retryDelay ?? {};
  return Math.max(RETRY_AFTER_MS, Number(seconds) * 1000 + nanos / 1e6);
}

function detailsOf(details: readonly Any[], type: string): Buffer[] {
  return details.filter(({ typeUrl }) => typeUrl.endsWith(`/google.rpc.${type}`)).map(({ value }) => value);
}

function isServiceError(failure: unknown): failure is ServiceError {
  return failure instanceof Error && "code" in failure && "details" in failure && "metadata" in failure;
}
