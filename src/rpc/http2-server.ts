import type { Http2Server } from "node:http2";
import type { Server } from "@grpc/grpc-js";

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

const METHOD = "createHttp2Server";
