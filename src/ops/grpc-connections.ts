import { createServer, type Server } from "node:net";
import { type Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";

/** The capacities of calls, of which each may come over a connection of its own. */
export interface CallCapacities {
  readonly subscribersMax: number;
  readonly readStreamsMax: number;
  readonly callsInFlightMax: number;
}

/**
 * Makes servers whose connections speak gRPC; where they listen is the caller's
 * to say. Each takes as many connections as calls can be admitted, and some more.
 */
export function grpcListenersOf(grpc: GrpcServer, capacities: CallCapacities): () => Server {
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const { subscribersMax, readStreamsMax, callsInFlightMax } = capacities;
  return () => {
    const server = createServer({ noDelay: true }, (socket) => injector.injectConnection(socket));
    server.maxConnections = subscribersMax + readStreamsMax + callsInFlightMax + SPARE_CONNECTIONS;
    return server;
  };
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

/** For health probes, reflection and clients that are between two calls. */
const SPARE_CONNECTIONS = 840;
