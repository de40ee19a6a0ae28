import { type ServiceError, status } from "@grpc/grpc-js";
import { BadRequest } from "../../gen/google/rpc/error_details.js";
import { Status } from "../../gen/google/rpc/status.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-code.js";

/**
 * Turns whatever a command threw into one error for the user: the fields that a
 * request got wrong are named, statuses become exit codes, nothing shows a stack.
 */
export function describeFailure(failure: unknown, address: string): CliError {
  if (failure instanceof CliError) return failure;
  if (isServiceError(failure)) {
    return new CliError(exitCodeOf(failure.code), messageOf(failure, address), failure);
  }
  const message = failure instanceof Error ? failure.message : String(failure);
  return new CliError(isFileError(failure) ? ExitCode.usage : ExitCode.failure, message, failure);
}

/** Whether a call may succeed when it is repeated: nothing was there, or nothing answered in time. */
export function isUnavailable(failure: unknown): boolean {
  return isServiceError(failure) && exitCodeOf(failure.code) === ExitCode.unavailable;
}

/**
 * Whether the status of a failure was sent by a server, rather than made up by our channel because
 * nobody is there: only what was sent has a content type. See `keepContentType`.
 */
export function isAnswered(failure: unknown): boolean {
  return isServiceError(failure) && /^application\/grpc/.test(String(failure.metadata.get("content-type")));
}

/** Whether a stream that failed in this way would fail again, whoever answers. */
export function isPermanent(failure: unknown): boolean {
  return !isServiceError(failure) || PERMANENT.has(failure.code);
}

const PERMANENT: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.UNIMPLEMENTED,
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
]);

function isServiceError(failure: unknown): failure is ServiceError {
  return failure instanceof Error && "code" in failure && "details" in failure && "metadata" in failure;
}

/** A file that is not there or may not be read was named by the user. */
function isFileError(failure: unknown): boolean {
  return failure instanceof Error && "syscall" in failure && "path" in failure;
}

function exitCodeOf(code: status): ExitCode {
  switch (code) {
    case status.INVALID_ARGUMENT:
      return ExitCode.usage;
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
    case status.RESOURCE_EXHAUSTED:
      return ExitCode.unavailable;
    case status.CANCELLED:
      return ExitCode.interrupted;
    default:
      return ExitCode.failure;
  }
}

function messageOf(error: ServiceError, address: string): string {
  switch (error.code) {
    case status.CANCELLED:
      return "interrupted";
    case status.UNAVAILABLE:
      return isAnswered(error)
        ? `the sidecar at ${address} is unavailable: ${error.details}`
        : `no sidecar answers at ${address}: ${error.details.replace(/\s*Resolution note:\s*$/, "")}`;
    case status.DEADLINE_EXCEEDED:
      return `no answer from ${address} in time`;
    case status.UNIMPLEMENTED:
      return `what listens at ${address} does not know this call: ${error.details}`;
    case status.INVALID_ARGUMENT:
      return `refused: ${[error.details, ...fieldViolations(error)].join("; ")}`;
    default:
      return `${status[error.code] ?? error.code}: ${error.details}`;
  }
}

function fieldViolations(error: ServiceError): string[] {
  const [details] = error.metadata.get("grpc-status-details-bin");
  if (!(details instanceof Buffer)) return [];
  return Status.decode(details)
    .details.filter((detail) => detail.typeUrl.endsWith("/google.rpc.BadRequest"))
    .flatMap((detail) => BadRequest.decode(detail.value).fieldViolations)
    .map((violation) => `${violation.field}: ${violation.description}`);
}
