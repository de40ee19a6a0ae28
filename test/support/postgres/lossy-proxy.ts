import { once } from "node:events";
import { createServer, connect as dial, type Server, type Socket } from "node:net";

/** A way to the server that loses notifications, as a pooler in transaction mode does. */
export class LossyProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  isLossy = true;

  private constructor(server: Server, port: number, target: number) {
    this.#server = server;
    this.port = port;
    server.on("connection", (client) => {
      const upstream = dial({ port: target, host: "127.0.0.1", noDelay: true });
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.once("close", () => {
          client.destroy();
          upstream.destroy();
          this.#sockets.delete(socket);
        });
      }
      client.pipe(upstream);
      let rest: Buffer = Buffer.alloc(0);
      upstream.on("data", (bytes: Buffer) => {
        rest = Buffer.concat([rest, bytes]);
        // A message: its type, and its length without the type.
        while (rest.length >= 5 && rest.length > rest.readUInt32BE(1)) {
          const length = 1 + rest.readUInt32BE(1);
          const isNotification = rest[0] === "A".charCodeAt(0);
          if (!isNotification || !this.isLossy) client.write(rest.subarray(0, length));
          rest = rest.subarray(length);
        }
      });
    });
  }

  static async start(target: number): Promise<LossyProxy> {
    const server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new LossyProxy(server, (server.address() as { port: number }).port, target);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
