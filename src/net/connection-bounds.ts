/** The capacities of calls. Each call may arrive on a connection of its own. */
export interface CallCapacities {
  readonly subscribersMax: number;
  readonly readStreamsMax: number;
  readonly callsInFlightMax: number;
}

/** Connections of the listeners for probes, for metrics or for operators: all are few and short. */
export const PROBE_CONNECTIONS_MAX = 64;
/** Added to the calls that can be admitted: for health and reflection, and for clients between two calls. */
const SPARE_CONNECTIONS = 840;
/** Descriptors for everything else: the process itself, its listeners, files and stores. */
const OTHER_DESCRIPTORS = 64;
/** A limit of open files that leaves fewer gRPC connections than this is refused as an error. */
const GRPC_CONNECTIONS_MIN = 16;

export interface ConnectionBounds {
  /** Connections of all gRPC listeners together. */
  readonly grpc: number;
  /** What `grpc` would be without a limit of open files. */
  readonly grpcWanted: number;
}

/**
 * Divides the file descriptors among the listeners. The bounds of all listeners
 * together stay below the limit, so gRPC clients cannot use up the descriptors of
 * the ports for probes and metrics. Undefined if the limit leaves too few for gRPC.
 */
export function connectionBounds(
  capacities: CallCapacities,
  openFilesMax: number,
  probePorts: number,
): ConnectionBounds | undefined {
  const { subscribersMax, readStreamsMax, callsInFlightMax } = capacities;
  const grpcWanted = subscribersMax + readStreamsMax + callsInFlightMax + SPARE_CONNECTIONS;
  const left = openFilesMax - descriptorsKept(probePorts);
  return left < GRPC_CONNECTIONS_MIN ? undefined : { grpc: Math.min(grpcWanted, left), grpcWanted };
}

/** The least limit of open files. */
export function openFilesMin(probePorts: number): number {
  return descriptorsKept(probePorts) + GRPC_CONNECTIONS_MIN;
}

function descriptorsKept(probePorts: number): number {
  return OTHER_DESCRIPTORS + probePorts * PROBE_CONNECTIONS_MAX;
}
