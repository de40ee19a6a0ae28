import type { Http2Server, ServerHttp2Stream } from "node:http2";
import type { Server, ServerInterceptingCallInterface } from "@grpc/grpc-js";

/** What the server needs of grpc-js and grpc-js keeps private: all of it is here. */

/**
 * Calls back with each HTTP/2 server that a gRPC server makes for a listener or an
 * injector, before it has a connection. grpc-js makes them in a private method and
 * offers nothing else that sees a call before it reads the call's headers, or that
 * sees a call of an unknown method at all. Throws if grpc-js makes them elsewhere.
 */
export function onHttp2Server(server: Server, use: (http2Server: Http2Server) => void): void {
  const create: unknown = Reflect.get(server, METHOD);
  if (typeof create !== "function")
    throw new Error(`grpc-js has no ${METHOD}: this version is not supported`);
  Reflect.set(server, METHOD, (...parameters: unknown[]) => {
    const http2Server: Http2Server = create.apply(server, parameters);
    use(http2Server);
    return http2Server;
  });
}

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

const METHOD = "createHttp2Server";
