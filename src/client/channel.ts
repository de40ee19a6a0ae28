import { type ChannelCredentials, credentials, InterceptingCall, type Interceptor } from "@grpc/grpc-js";
import { EventCacheServiceClient } from "../gen/splitcache/v1/event_cache_service.js";
import type { ConnectOptions, TlsOptions } from "./options.js";

/**
 * A sidecar is on the same machine or close to it, so a client reconnects without a long backoff and never
 * goes through the proxy of the environment.
 */
const CHANNEL_OPTIONS = {
  "grpc.enable_http_proxy": 0,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
  // A connection that is half open is replaced.
  "grpc.keepalive_time_ms": 5000,
  "grpc.keepalive_timeout_ms": 2000,
  // Repeats are made by this library: only it knows which ones the contract permits.
  "grpc.enable_retries": 0,
};

/** A channel to one sidecar. Connects with the first call, and again when it breaks. */
export function openChannel(
  { address, tls, token }: Pick<ConnectOptions, "address" | "tls" | "token">,
  interceptors: readonly Interceptor[] = [],
): EventCacheServiceClient {
  const serverName = typeof tls === "object" ? tls.serverName : undefined;
  return new EventCacheServiceClient(address, channelCredentials(tls), {
    ...CHANNEL_OPTIONS,
    ...(serverName !== undefined && { "grpc.ssl_target_name_override": serverName }),
    interceptors: [...interceptors, ...(token === undefined ? [] : [sendToken(token)])],
  });
}

function channelCredentials(tls: boolean | TlsOptions | undefined): ChannelCredentials {
  if (tls === undefined || tls === false) return credentials.createInsecure();
  const { ca, key, cert } = tls === true ? {} : tls;
  const bytes = (pem: string | undefined) => (pem === undefined ? null : Buffer.from(pem));
  return credentials.createSsl(bytes(ca), bytes(key), bytes(cert));
}

/** Adds the token to each call. Call credentials of grpc-js would require TLS, which a Unix socket does not need. */
function sendToken(token: string | (() => string)): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        metadata.set("authorization", `Bearer ${typeof token === "string" ? token : token()}`);
        next(metadata, listener);
      },
    });
}
