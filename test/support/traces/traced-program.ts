import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import type { Program, ProgramEnd } from "../program/build-program.js";
import { clientOf } from "../server/start-server.js";

/** A sidecar in a process of its own, since the OpenTelemetry SDK reads the environment of its process. */
export interface TracedProgram {
  readonly client: EventCacheServiceClient;
  logLine(text: string): Promise<Record<string, unknown>>;
  /** Stops it as Kubernetes does. */
  stop(): Promise<ProgramEnd>;
  /** Ends it, for a test that has failed. */
  kill(): void;
}

export async function startTraced(
  program: Program,
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<TracedProgram> {
  const command = ["serve", "--listen", "127.0.0.1:0", "--http", "off", ...args];
  const running = program.start(command, { env });
  const logLine = async (text: string) => JSON.parse(await running.logLine(text)) as Record<string, unknown>;
  const { listen } = await logLine("splitcache serves");
  const client = clientOf(String(listen));
  return {
    client,
    logLine,
    stop: () => {
      client.close();
      running.kill("SIGTERM");
      return running.end;
    },
    kill: () => {
      client.close();
      running.kill("SIGKILL");
    },
  };
}

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** A unary call with these headers. */
export function callWith<Request, Response>(
  client: EventCacheServiceClient,
  method: Unary<Request, Response>,
  request: Request,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, metadataOf(headers), {}, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

export function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
