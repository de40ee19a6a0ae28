import type { Http2Server, ServerHttp2Stream } from "node:http2";
import type { Server, ServerInterceptingCallInterface } from "@grpc/grpc-js";

/** All accesses to private parts of grpc-js are in this file. */

/**
 * Calls back with each HTTP/2 server that a gRPC server creates for a listener or an
 * injector, before it has a connection. grpc-js creates them in a private method and
 * has no other hook that runs before it reads a call's headers, or that runs for calls
 * of unknown methods. Throws if this version of grpc-js has no such method.
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
 * The HTTP/2 stream of a call that an interceptor receives. grpc-js keeps it in a
 * private field and has no other way to end a call whose client does not read: a
 * status waits behind the reply. Undefined if this version of grpc-js has no such field.
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
