import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { CacheError, type CacheErrorKind, type FieldViolation } from "../core/model/errors.js";
import { ERROR_DETAILS_BYTES_MAX } from "../core/model/limits.js";
import type { Any } from "../gen/google/protobuf/any.js";
import { BadRequest, RetryInfo } from "../gen/google/rpc/error_details.js";
import { Status } from "../gen/google/rpc/status.js";
import type { RequestFailure } from "../gen/splitcache/v1/event_cache_service.js";
import { toDuration } from "./convert/reply.js";
import { RETRY_DELAY_MS, STATUS_MESSAGE_BYTES_MAX } from "./limits.js";

/** The status of a call that was answered. */
export const OK = status.OK;
/** The status of a call whose client went away before it was answered. */
export const CANCELLED = status.CANCELLED;
/** Error codes that reflection sends inside its stream, which continues. */
export const NOT_FOUND = status.NOT_FOUND;
export const INVALID_ARGUMENT = status.INVALID_ARGUMENT;

/** The log of the gRPC layer. Fields never contain event content. */
export interface RpcLogger {
  /** A defect of the server, with the error in the field `err`. */
  error(message: string, fields: Readonly<Record<string, unknown>>): void;
  debug(message: string, fields: Readonly<Record<string, unknown>>): void;
}

/** Converts a failure to the status of a call, with google.rpc details in its trailers. The only such mapping. */
export function toStatus(error: CacheError): StatusObject {
  const failure = toRequestFailure(error);
  const metadata = new Metadata();
  if (failure.details.length > 0) {
    metadata.set("grpc-status-details-bin", Buffer.from(Status.encode(failure).finish()));
  }
  return { code: failure.code, details: failure.message, metadata };
}

/** Converts a failure to the result of one request on a read stream. */
export function toRequestFailure(error: CacheError): RequestFailure {
  return { code: CODES[error.kind], message: sentence(error), details: details(error) };
}

/** Converts any error to a CacheError. An unexpected error is a defect and is logged. */
export function toCacheError(error: unknown, logger: RpcLogger): CacheError {
  const known =
    error instanceof CacheError ? error : new CacheError("internal", "unexpected failure", { cause: error });
  if (known.kind === "internal") logger.error("a call failed", { err: known.cause ?? known });
  return known;
}

const CODES: Readonly<Record<CacheErrorKind, status>> = {
  invalidArgument: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  permissionDenied: status.PERMISSION_DENIED,
  exhausted: status.RESOURCE_EXHAUSTED,
  tooLarge: status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  deadlineExceeded: status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  internal: status.INTERNAL,
};

function sentence(error: CacheError): string {
  if (error.kind === "internal") return "internal error; the server's log has the details";
  // grpc-js percent-encodes the message, and throws on half a surrogate pair.
  return error.message.slice(0, STATUS_MESSAGE_BYTES_MAX).replace(/[^\x20-\x7e]/g, "?");
}

function details(error: CacheError): Any[] {
  switch (error.kind) {
    case "invalidArgument":
      return error.violations.length === 0 ? [] : [badRequest(error.violations)];
    case "exhausted": {
      const retryDelay = toDuration(error.retryDelayMs ?? RETRY_DELAY_MS);
      return [toAny("google.rpc.RetryInfo", RetryInfo.encode({ retryDelay }).finish())];
    }
    default:
      return [];
  }
}

/** Returns the first violations that fit: clients refuse large trailers. */
function badRequest(violations: readonly FieldViolation[]): Any {
  const fieldViolations: BadRequest["fieldViolations"] = [];
  let bytes = 0;
  for (const { field, description } of violations) {
    bytes += Buffer.byteLength(field) + Buffer.byteLength(description) + VIOLATION_OVERHEAD_BYTES;
    if (bytes > ERROR_DETAILS_BYTES_MAX - STATUS_OVERHEAD_BYTES) break;
    fieldViolations.push({ field, description, reason: "", localizedMessage: undefined });
  }
  return toAny("google.rpc.BadRequest", BadRequest.encode({ fieldViolations }).finish());
}

/** The overhead of a violation, and the size of the remaining details with the longest message. */
const VIOLATION_OVERHEAD_BYTES = 16;
const STATUS_OVERHEAD_BYTES = 128 + STATUS_MESSAGE_BYTES_MAX;

function toAny(type: string, value: Uint8Array): Any {
  return { typeUrl: `type.googleapis.com/${type}`, value: Buffer.from(value) };
}
