import { CacheError } from "../core/model/errors.js";
import type { Health } from "../probes/health.js";
import type { GrpcServer } from "../rpc/grpc-server.js";
import type { ServiceControl } from "./sources.js";

export interface ServiceStateDeps {
  readonly health: Pick<Health, "setDrained" | "stop">;
  readonly rpc: Pick<GrpcServer, "drain" | "endDrain" | "usage" | "subscriptions">;
  readonly logger: { info(message: string): void };
}

/** Whether the sidecar accepts cache calls. An operator can drain it and undrain it until it stops. */
export class ServiceState implements ServiceControl {
  readonly #deps: ServiceStateDeps;
  #state: "serving" | "drained" | "stopping" = "serving";

  constructor(deps: ServiceStateDeps) {
    this.#deps = deps;
  }

  drain(): void {
    if (this.#state !== "serving") return;
    this.#state = "drained";
    const { health, rpc, logger } = this.#deps;
    logger.info("the sidecar was drained by an operator; it refuses calls until it is undrained");
    health.setDrained(true);
    rpc.drain();
  }

  undrain(): void {
    if (this.#state === "stopping") throw new CacheError("unavailable", "the process is stopping");
    if (this.#state === "serving") return;
    this.#state = "serving";
    const { health, rpc, logger } = this.#deps;
    rpc.endDrain();
    health.setDrained(false);
    logger.info("the sidecar was undrained; it accepts calls again");
  }

  /** Drains the sidecar finally, because the process ends. */
  stop(): void {
    this.#state = "stopping";
    this.#deps.health.stop();
    this.#deps.rpc.drain();
  }

  usage() {
    const { rpc } = this.#deps;
    const { callsInFlight: calls, readStreams } = rpc.usage();
    return { calls, readStreams, subscribers: rpc.subscriptions.size };
  }
}
