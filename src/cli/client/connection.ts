import {
  type ChannelCredentials,
  credentials,
  InterceptingCall,
  type Interceptor,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { EventCacheServiceClient } from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError, ExitCode } from "../exit-code.js";
import { type ClientSecurity, type ClientTls, checkTokenIsSafe } from "./security.js";

/** A channel to one sidecar. Connects with the first call, and again when it breaks. */
export interface SidecarConnection {
  readonly address: string;
  readonly security: ClientSecurity;
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

/**
 * A sidecar is on the same machine or close to it, so a client reconnects without a long
 * backoff and never goes through the proxy of the environment.
 */
const CHANNEL_OPTIONS = {
  "grpc.enable_http_proxy": 0,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
};

export function connect({ address, timeoutMs, signal, security }: ConnectionOptions): SidecarConnection {
  checkTokenIsSafe(security, address);
  const { tls, token } = security;
  const client = new EventCacheServiceClient(address, channelCredentials(tls), {
    ...CHANNEL_OPTIONS,
    ...(tls?.serverName !== undefined && { "grpc.ssl_target_name_override": tls.serverName }),
    interceptors: [keepContentType, ...(token === undefined ? [] : [sendToken(token)])],
  });
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

function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { ca = null, key = null, cert = null } = tls;
  const bytes = (pem: string | null) => (pem === null ? null : Buffer.from(pem));
  try {
    return credentials.createSsl(bytes(ca), bytes(key), bytes(cert));
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.usage, `the files of --tls-… are not valid: ${problem}`, error);
  }
}

/** Adds the token to each call. Call credentials of grpc-js would require TLS, which a Unix socket does not need. */
function sendToken(token: () => string): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        metadata.set("authorization", `Bearer ${token()}`);
        next(metadata, listener);
      },
    });
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
