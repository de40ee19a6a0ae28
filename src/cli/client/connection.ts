import {
  InterceptingCall,
  type Interceptor,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { openChannel } from "../../client/channel.js";
import type { EventCacheServiceClient } from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError, ExitCode } from "../exit-code.js";
import { type ClientSecurity, checkTokenIsSafe } from "./security.js";

/** A channel to one sidecar. Connects with the first call, and again when it breaks. */
export interface SidecarConnection {
  readonly address: string;
  readonly security: ClientSecurity;
  readonly timeoutMs: number;
  /** For streams; single calls go through `call`. */
  readonly client: EventCacheServiceClient;
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal;
  /** Makes one call, with the connection's time limit unless another one is given. Rejects with a ServiceError. */
  call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    limitMs?: number,
  ): Promise<Response>;
  /** Cancels a stream when the user interrupts, until the returned function is called. */
  cancelOnAbort(stream: Cancellable): () => void;
  close(): void;
}

interface Cancellable {
  cancel(): void;
}

/** The part of a generated method definition that `call` uses. */
export type Method<Request, Response> = Pick<
  MethodDefinition<Request, Response>,
  "path" | "requestSerialize" | "responseDeserialize"
>;

export interface ConnectionOptions {
  /** `host:port` or `unix:path`. */
  readonly address: string;
  /** How long one call may take. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly security: ClientSecurity;
}

export function connect({ address, timeoutMs, signal, security }: ConnectionOptions): SidecarConnection {
  checkTokenIsSafe(security, address);
  const client = openChannelOf(address, security);
  // One listener for all calls: Node.js warns of a leak if a signal has more than ten.
  const running = new Set<Cancellable>();
  const cancelAll = () => {
    for (const call of running) call.cancel();
  };
  signal.addEventListener("abort", cancelAll);
  function cancelOnAbort(call: Cancellable): () => void {
    running.add(call);
    if (signal.aborted) call.cancel();
    return () => running.delete(call);
  }
  return {
    address,
    security,
    timeoutMs,
    client,
    signal,
    call: (method, request, limitMs = timeoutMs) => call(client, method, request, limitMs, cancelOnAbort),
    cancelOnAbort,
    close: () => {
      signal.removeEventListener("abort", cancelAll);
      client.close();
    },
  };
}

function openChannelOf(address: string, { tls, token }: ClientSecurity): EventCacheServiceClient {
  try {
    return openChannel({ address, tls, token }, [keepContentType]);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.usage, `the files of --tls-… are not valid: ${problem}`, error);
  }
}

/**
 * Adds the content type of the headers to the status that ends a call. A status without headers
 * before it carries its own. If neither has a content type, no server has answered.
 */
const keepContentType: Interceptor = (options, nextCall) => {
  let answered: Metadata | undefined;
  return new InterceptingCall(nextCall(options), {
    start: (metadata, _listener, next) =>
      next(metadata, {
        onReceiveMetadata: (headers, next) => {
          answered = headers;
          next(headers);
        },
        onReceiveStatus: (status, next) => {
          for (const type of answered?.get("content-type") ?? []) status.metadata.set("content-type", type);
          next(status);
        },
      }),
  });
};

function call<Request, Response>(
  client: EventCacheServiceClient,
  method: Method<Request, Response>,
  request: Request,
  timeoutMs: number,
  cancelOnAbort: SidecarConnection["cancelOnAbort"],
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const running = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      { deadline: Date.now() + timeoutMs },
      (error: ServiceError | null, response?: Response) => {
        release();
        if (response === undefined) reject(error);
        else resolve(response);
      },
    );
    const release = cancelOnAbort(running);
  });
}
