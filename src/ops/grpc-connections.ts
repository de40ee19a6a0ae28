import { createServer, type Server } from "node:net";
import { type Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";

/** Makes servers whose connections speak gRPC; where they listen is the caller's to say. */
export function grpcListenersOf(grpc: GrpcServer): () => Server {
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  return () => createServer({ noDelay: true }, (socket) => injector.injectConnection(socket));
}

/**
 * Closes each connection of a server as soon as its calls have ended. Answers
 * whether all had by the deadline; then the others are the caller's to cut.
 *
 * `connectionsEnded` is what is waited for, not grpc-js: since Node.js 24 closes
 * the sessions of a server itself, `tryShutdown` takes those with calls for done.
 */
export async function shutDownGrpc(
  grpc: GrpcServer,
  connectionsEnded: Promise<void>,
  timeoutMs: number,
): Promise<boolean> {
  grpc.tryShutdown(() => {});
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  const inTime = await Promise.race([connectionsEnded.then(() => true), deadline]);
  clearTimeout(timer);
  return inTime;
}
