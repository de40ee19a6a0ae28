import { type ServiceError, status } from "@grpc/grpc-js";
import { SplitCacheError } from "../../client/errors.js";
import { BadRequest } from "../../gen/google/rpc/error_details.js";
import { Status } from "../../gen/google/rpc/status.js";
import { CliError, ExitCode } from "../exit-code.js";

/**
 * Turns a failure of a command into one error for the user. It names the fields that the sidecar
 * refused, maps statuses to exit codes, and shows no stack.
 */
export function describeFailure(failure: unknown, address = "an unknown address"): CliError {
  if (failure instanceof CliError) return failure;
  if (failure instanceof SplitCacheError) return describeLibraryFailure(failure, address);
  if (isServiceError(failure)) {
    return new CliError(exitCodeOf(failure.code), messageOf(failure, address), failure);
  }
  const message = failure instanceof Error ? failure.message : String(failure);
  return new CliError(ExitCode.failure, message, failure);
}

function describeLibraryFailure(error: SplitCacheError, address: string): CliError {
  if (isServiceError(error.cause)) return describeFailure(error.cause, address);
  switch (error.code) {
    case "TWO_LOGS":
      return new CliError(ExitCode.twoLogs, error.message.replace("answer:", `answer at ${address}:`), error);
    case "CLOSED":
      return new CliError(ExitCode.interrupted, "interrupted", error);
    case "UNAVAILABLE":
    case "DEADLINE_EXCEEDED":
    case "RESOURCE_EXHAUSTED":
      return new CliError(ExitCode.unavailable, error.message, error);
    default:
      return new CliError(ExitCode.failure, error.message, error);
  }
}

/** Whether a call may succeed when it is repeated: no server was there, or none answered in time. */
export function isUnavailable(failure: unknown): boolean {
  return isServiceError(failure) && exitCodeOf(failure.code) === ExitCode.unavailable;
}

/**
 * Whether a server sent the status of a failure. A status that the channel made itself, because no
 * server is there, has no content type. See `keepContentType`.
 */
function isAnswered(failure: unknown): boolean {
  return isServiceError(failure) && /^application\/grpc/.test(String(failure.metadata.get("content-type")));
}

function isServiceError(failure: unknown): failure is ServiceError {
  return failure instanceof Error && "code" in failure && "details" in failure && "metadata" in failure;
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
        : `no sidecar answers at ${address}: ${error.details.replace(CHANNEL_WORDS, "")}`;
    case status.DEADLINE_EXCEEDED:
      return `${address} did not answer in time`;
    case status.UNIMPLEMENTED:
      return `the server at ${address} does not implement this method; is it a splitcache gRPC listener?`;
    case status.INVALID_ARGUMENT:
      return `the sidecar refused the request: ${fieldViolations(error).join("; ") || error.details}`;
    default:
      return `${status[error.code] ?? error.code}: ${error.details}`;
  }
}

/** The words of @grpc/grpc-js around the reason of a failed connection. */
const CHANNEL_WORDS = /^No connection established\. Last error: (?:Error: )?|\.?\s*Resolution note:\s*$/g;

function fieldViolations(error: ServiceError): string[] {
  const [details] = error.metadata.get("grpc-status-details-bin");
  if (!(details instanceof Buffer)) return [];
  return Status.decode(details)
    .details.filter((detail) => detail.typeUrl.endsWith("/google.rpc.BadRequest"))
    .flatMap((detail) => BadRequest.decode(detail.value).fieldViolations)
    .map((violation) => `${violation.field} ${violation.description}`);
}
