import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError } from "@grpc/grpc-js";
import { BadRequest, RetryInfo } from "../../../src/gen/google/rpc/error_details.js";
import { Status } from "../../../src/gen/google/rpc/status.js";
import type {
  EventCacheServiceClient,
  RequestFailure,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** One unary call as a promise. */
export function call<Request, Response>(
  client: EventCacheServiceClient,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: Partial<CallOptions> = {},
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, new Metadata(), options, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

/** What a client sees of a failure. */
export interface Failure {
  readonly code: number;
  readonly message: string;
  /** The fields that BadRequest names. */
  readonly fields: readonly string[];
  readonly canRetry: boolean;
}

export function failureOf(promise: Promise<unknown>): Promise<Failure> {
  return promise.then(
    () => Promise.reject(new Error("the call succeeded")),
    (error: ServiceError) => describeError(error),
  );
}

export function describeError(error: ServiceError): Failure {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const details = Buffer.isBuffer(bytes) ? Status.decode(bytes).details : [];
  return describeFailure({ code: error.code, message: error.details, details });
}

export function describeFailure({ code, message, details }: RequestFailure): Failure {
  const find = (type: string) => details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/${type}`);
  const badRequest = find("google.rpc.BadRequest");
  const retryInfo = find("google.rpc.RetryInfo");
  return {
    code,
    message,
    fields:
      badRequest === undefined
        ? []
        : BadRequest.decode(badRequest.value).fieldViolations.map(({ field }) => field),
    canRetry: retryInfo !== undefined && RetryInfo.decode(retryInfo.value).retryDelay !== undefined,
  };
}
