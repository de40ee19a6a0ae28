/**
 * The way to a server that is further away: `node relay.js <port> <milliseconds>` brings bytes to a port of
 * this machine, and back, so much later each way. Says its own port on a line, and ends with its parent's input.
 */
import { createServer, connect as dial, type Socket } from "node:net";

const [target, delayMs] = process.argv.slice(2).map(Number) as [number, number];

/** What is on its way, the oldest first. Timers are too coarse: this spins while there is anything. */
const onTheWay: { readonly dueMs: number; readonly to: Socket; readonly bytes: Buffer }[] = [];

function deliver(): void {
  while (onTheWay[0] !== undefined && onTheWay[0].dueMs <= performance.now()) {
    const { to, bytes } = onTheWay.shift()!;
    if (!to.destroyed) to.write(bytes);
  }
  if (onTheWay.length > 0) setImmediate(deliver);
}

function forward(from: Socket, to: Socket): void {
  from.on("data", (bytes) => {
    onTheWay.push({ dueMs: performance.now() + delayMs, to, bytes });
    if (onTheWay.length === 1) setImmediate(deliver);
  });
  from.on("error", () => {}).on("close", () => to.destroy());
}

const server = createServer({ noDelay: true }, (client) => {
  const far = dial({ port: target, host: "127.0.0.1", noDelay: true });
  forward(client, far);
  forward(far, client);
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));
process.stdin.on("end", () => process.exit()).resume();
