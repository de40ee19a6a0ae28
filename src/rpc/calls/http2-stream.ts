import type { ServerHttp2Stream } from "node:http2";
import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";

/**
 * The HTTP/2 stream under a call as an interceptor gets it. grpc-js keeps it in a
 * private field and offers nothing else that ends a call whose client does not
 * read: a status waits behind the reply. Undefined if grpc-js keeps it elsewhere.
 */
export function http2StreamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream | undefined {
  const stream: unknown = Reflect.get(call, "stream");
  return isServerHttp2Stream(stream) ? stream : undefined;
}

function isServerHttp2Stream(value: unknown): value is ServerHttp2Stream {
  return (
    typeof value === "object" &&
    value !== null &&
    "close" in value &&
    "once" in value &&
    "headersSent" in value &&
    "pushAllowed" in value
  );
}
