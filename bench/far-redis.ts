/**
 * Puts a way between a server and those who ask it, as a network does: every byte arrives
 * so much later. A worker of its own, so that who is measured does not do its work.
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

export interface FarServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** The server at a port, `oneWayMs` away. */
export async function farAway(port: number, oneWayMs: number): Promise<FarServer> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { port, oneWayMs } });
  const [relayPort] = await once(worker, "message");
  return {
    port: relayPort,
    stop: async () => {
      await worker.terminate();
    },
  };
}

function serve({ port, oneWayMs }: { port: number; oneWayMs: number }): void {
  const under: { atMs: number; arrive: () => void }[] = [];
  // A timer's millisecond is too coarse.
  const look = () => {
    while (under.length > 0 && under[0]!.atMs <= performance.now()) under.shift()!.arrive();
    if (under.length > 0) setImmediate(look);
  };
  const carry = (from: Socket, to: Socket) => {
    const later = (arrive: () => void) => {
      if (under.push({ atMs: performance.now() + oneWayMs, arrive }) === 1) setImmediate(look);
    };
    from.setNoDelay(true).on("data", (bytes) => later(() => to.write(bytes)));
    from.on("close", () => later(() => to.destroy()));
    from.on("error", () => {});
  };
  const relay = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    carry(near, far);
    carry(far, near);
  });
  relay.listen(0, "127.0.0.1", () => parentPort!.postMessage((relay.address() as { port: number }).port));
}

if (!isMainThread && workerData?.oneWayMs !== undefined) serve(workerData);
