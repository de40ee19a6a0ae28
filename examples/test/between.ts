/** What can stand between a client and its sidecar. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { EventCacheServiceService } from "../../src/gen/splitcache/v1/event_cache_service.js";

/** A TCP address that leads each new connection to the next of some addresses, in turn. */
export interface Proxy {
  readonly address: string;
  /** Breaks all connections. */
  cut(): void;
  /** Leads all further connections to this address alone, and breaks those that are open. */
  leadTo(port: number): void;
  close(): Promise<void>;
}

export async function startProxy(ports: readonly number[]): Promise<Proxy> {
  const open = new Set<Socket>();
  let connections = 0;
  let targets = ports;
  const server = createServer((inbound) => {
    const port = targets[connections % targets.length];
    connections += 1;
    const outbound = connect(port ?? 0, "127.0.0.1");
    for (const [from, to] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the proxy has no port");
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  const leadTo = (port: number) => {
    targets = [port];
    cut();
  };
  const close = async () => {
    server.close();
    cut();
    await once(server, "close");
  };
  return { address: `127.0.0.1:${bound.port}`, cut, leadTo, close };
}

/** A sidecar as a client sees it whose announcements get lost: everything else passes. */
export interface Filter {
  readonly address: string;
  /** From now on announcements pass, too. */
  letAnnouncementsPass(): void;
  close(): void;
}

const ANNOUNCEMENTS = new Set(["InvalidateEvents", "PurgeRoom", "SetRedaction", "SetRejected"]);
const same = (bytes: Buffer) => bytes;

export async function startFilter(sidecar: string): Promise<Filter> {
  const client = new Client(sidecar, credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
  const server = new Server();
  let passes = false;
  const unary = (path: string, isAnnouncement: boolean) => {
    return (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
      if (isAnnouncement && !passes) reply({ code: status.UNAVAILABLE, details: "lost" });
      else client.makeUnaryRequest(path, same, same, call.request, reply);
    };
  };
  const stream = (path: string) => (call: ServerWritableStream<Buffer, Buffer>) => {
    const frames = client.makeServerStreamRequest(path, same, same, call.request);
    frames.on("data", (frame: Buffer) => call.write(frame));
    frames.on("error", (error) => call.destroy(error));
    call.on("cancelled", () => frames.cancel());
  };
  for (const [name, method] of Object.entries(EventCacheServiceService)) {
    if (method.requestStream) continue;
    const raw = {
      ...method,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    };
    const called = method.path.split("/").at(-1) ?? "";
    const handler = method.responseStream
      ? stream(method.path)
      : unary(method.path, ANNOUNCEMENTS.has(called));
    server.addService({ [name]: raw }, { [name]: handler });
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return {
    address: `127.0.0.1:${port}`,
    letAnnouncementsPass: () => {
      passes = true;
    },
    close: () => {
      server.forceShutdown();
      client.close();
    },
  };
}
