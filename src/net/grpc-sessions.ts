import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { type Server, ServerCredentials } from "@grpc/grpc-js";

/** Starts HTTP/2 on an accepted socket; undefined if the socket is already closed. */
export type OpenSession = (socket: Socket) => ServerHttp2Session | undefined;

/**
 * Passes sockets to a gRPC server and returns their HTTP/2 sessions. grpc-js keeps
 * the HTTP/2 server behind an injector in a private field, and its public interface
 * does not show which connections carry calls. Throws if the field is not there.
 */
export function sessionsOf(grpc: Server): OpenSession {
  const before = new Set(http2ServersOf(grpc));
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const added = http2ServersOf(grpc).find((server) => !before.has(server));
  if (added === undefined) throw new Error("grpc-js does not keep its HTTP/2 servers in http2Servers");
  let opened: ServerHttp2Session | undefined;
  added.on("session", (session: ServerHttp2Session) => {
    opened = session;
  });
  return (socket) => {
    opened = undefined;
    injector.injectConnection(socket);
    return opened;
  };
}

function http2ServersOf(grpc: Server): Http2Server[] {
  const servers: unknown = Reflect.get(grpc, "http2Servers");
  return servers instanceof Map ? [...servers.keys()] : [];
}
