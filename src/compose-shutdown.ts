import type { ServiceState } from "./admin/service-state.js";
import type { Ports } from "./compose-ports.js";
import type { Drain } from "./rpc/admission/drain.js";
import type { GrpcServer } from "./rpc/grpc-server.js";
import type { Logger } from "./telemetry/logger.js";
import type { Traces } from "./telemetry/traces/open-traces.js";

/** What a shutdown stops, and in which order it does. */
export interface RunningParts {
  readonly service: ServiceState;
  readonly stopping: Drain;
  readonly rpc: GrpcServer;
  readonly ports: Ports;
  readonly traces: Traces | undefined;
  readonly logger: Logger;
  readonly clock: () => number;
  closeAll(): Promise<void>;
}

/** Stops gracefully: calls in flight may end within the time limit. */
export async function shutDown(parts: RunningParts, timeoutMs: number): Promise<void> {
  const { service, stopping, rpc, ports, traces, logger, clock } = parts;
  const until = clock() + timeoutMs;
  service.stop();
  stopping.start();
  // Sends GOAWAY, so that clients start no more calls.
  rpc.server.tryShutdown(() => {});
  const calls = await ports.drainGrpc(timeoutMs);
  if (calls > 0) logger.warn("the shutdown timeout has passed; unfinished calls were cut", { calls });
  ports.destroy();
  await parts.closeAll();
  await traces?.stop(until - clock());
  logger.info("stopped");
}
