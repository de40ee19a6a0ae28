/** The capacities of calls. Each call may come over a connection of its own. */
export interface CallCapacities {
  readonly subscribersMax: number;
  readonly readStreamsMax: number;
  readonly callsInFlightMax: number;
}

/** Connections of the listeners for probes, for metrics or for operators: all are few and short. */
export const PROBE_CONNECTIONS_MAX = 64;
/** Beside the calls that can be admitted: for calls of health and reflection, and clients between two calls. */
const SPARE_CONNECTIONS = 840;
/** Descriptors for everything else: the process itself, its listeners, files and stores. */
const OTHER_DESCRIPTORS = 64;
/** With fewer gRPC connections than this a limit of open files is taken for a mistake. */
const GRPC_CONNECTIONS_MIN = 16;

export interface ConnectionBounds {
  /** Connections of all gRPC listeners together. */
  readonly grpc: number;
  /** What `grpc` would be without a limit of open files. */
  readonly grpcWanted: number;
}

/**
 * Shares out the file descriptors: the ports of probes and metrics keep theirs
 * whatever gRPC clients do, because the bounds of all listeners together stay
 * below the limit. Undefined if the limit leaves too few for gRPC.
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
