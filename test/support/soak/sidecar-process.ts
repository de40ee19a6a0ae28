import { once } from "node:events";
import { connect } from "node:net";
import { credentials } from "@grpc/grpc-js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { grpcSidecar } from "../model/system/grpc-sidecar.js";
import type { Sidecar } from "../model/system/sidecar.js";
import type { Program, RunningProgram } from "../program/build-program.js";
import { freePort } from "../program/free-port.js";
import { LinkProxy } from "../redis/link-proxy.js";
import { pause } from "./random.js";

/** One sidecar as users run it, always at the same port, with a link of its own to PostgreSQL. */
export class SidecarProcess {
  readonly link: LinkProxy;
  readonly sidecar: Sidecar;
  readonly #client: EventCacheServiceClient;
  readonly #args: readonly string[];
  readonly #port: number;
  #running: RunningProgram;

  #program: Program;

  private constructor(link: LinkProxy, port: number, program: Program, args: readonly string[]) {
    this.link = link;
    this.#port = port;
    this.#program = program;
    this.#args = args;
    this.#running = program.start(args);
    this.#client = new EventCacheServiceClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 200,
    });
    this.sidecar = grpcSidecar(this.#client, () => false);
  }

  /** Starts it with these arguments, beside the arguments for listener and log. */
  static async start(
    program: Program,
    postgresPort: number,
    args: readonly string[],
  ): Promise<SidecarProcess> {
    const link = await LinkProxy.start(postgresPort);
    const port = await freePort();
    const log = `postgres://postgres@127.0.0.1:${link.port}/postgres`;
    const own = ["--listen", `127.0.0.1:${port}`, "--http", "off", "--log", log, "--log-level", "warn"];
    const one = new SidecarProcess(link, port, program, ["serve", ...own, ...args]);
    await one.#untilItListens();
    return one;
  }

  async kill(): Promise<void> {
    this.#running.kill("SIGKILL");
    await this.#running.end;
  }

  /** Stops it as an operator does, and starts another version in its place. */
  async replace(program: Program): Promise<void> {
    if (program === this.#program) return;
    this.#running.kill("SIGTERM");
    await this.#running.end;
    this.#program = program;
    await this.launch();
  }

  /** Resolves to the first line of this run's log with this text. */
  logLine(text: string): Promise<string> {
    return this.#running.logLine(text);
  }

  async launch(): Promise<void> {
    this.#running = this.#program.start(this.#args);
    await this.#untilItListens();
  }

  signal(signal: NodeJS.Signals): void {
    this.#running.kill(signal);
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.kill();
    await this.link.stop();
  }

  async #untilItListens(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const socket = connect(this.#port, "127.0.0.1");
      const isThere = await once(socket, "connect").then(
        () => true,
        () => false,
      );
      socket.destroy();
      if (isThere) return;
      if (tries > 1000) throw new Error("a sidecar does not listen");
      await pause(25);
    }
  }
}
