import { once } from "node:events";
import { createServer, connect as dial, type Server, type Socket } from "node:net";

/** What becomes of bytes on their way: they arrive, some milliseconds late, or not until this is over. */
export type Passage = "open" | "held" | number;

/**
 * The way from one sidecar to a server, as a cluster's network has it: it can be held up
 * or slowed, each direction by itself, and led to another server.
 */
export class LinkProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [client: Socket, server: Socket]>();
  /** Towards the server, where the client is gone. */
  readonly #orphans = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  #target: number;
  #toServer: Passage = "open";
  #fromServer: Passage = "open";
  #muted: string | undefined;
  #stranding: string | undefined;
  /** Connections on which bytes to the server wait, or did: whether they still do. */
  readonly #stranded = new Map<Socket, boolean>();

  private constructor(server: Server, port: number, target: number) {
    this.#server = server;
    this.port = port;
    this.#target = target;
    server.on("connection", (client) => this.#pair(client));
  }

  static async start(target: number): Promise<LinkProxy> {
    const server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    return new LinkProxy(server, port, target);
  }

  /** Leads to another server from now on; what is connected is cut off only if asked. */
  lead(target: number, { drops }: { readonly drops: boolean }): void {
    this.#target = target;
    if (drops) this.drop();
  }

  drop(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    for (const socket of this.#orphans) socket.destroy();
  }

  /** Drops what is connected, as if the clients' machine were gone: the server hears nothing of it. */
  loseClients(): void {
    for (const [client, server] of this.#pairs) {
      this.#orphans.add(server);
      client.destroy();
    }
  }

  /** What was held up arrives once the passage is open again, as lost packets do that are sent again. */
  set(passages: { readonly toServer?: Passage; readonly fromServer?: Passage }): void {
    this.#toServer = passages.toServer ?? "open";
    this.#fromServer = passages.fromServer ?? "open";
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** From now on a connection brings nothing any more over which this is sent. */
  mute(text: string | undefined): void {
    this.#muted = text;
  }

  /**
   * The next connection over which this is sent is held up from there on, in both directions;
   * `arrive` lets it arrive at the server, however long its client has been gone.
   */
  strand(text: string): void {
    this.#stranding = text;
  }

  /** What was stranded arrives now, and nothing more is stranded. */
  arrive(): void {
    this.#stranding = undefined;
    for (const server of this.#stranded.keys()) this.#stranded.set(server, false);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  async stop(): Promise<void> {
    this.set({});
    this.arrive();
    this.drop();
    this.#server.close();
    await once(this.#server, "close");
  }

  #pair(client: Socket): void {
    const server = dial({ port: this.#target, host: "127.0.0.1", noDelay: true });
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.once("close", () => {
        this.#pairs.delete(pair);
        this.#orphans.delete(socket);
        this.#stranded.delete(socket);
        for (const other of pair) if (!this.#orphans.has(other)) other.destroy();
      });
    }
    let isMute = false;
    client.on("data", (bytes) => {
      if (this.#muted !== undefined && bytes.includes(this.#muted)) isMute = true;
      if (this.#stranding === undefined || !bytes.includes(this.#stranding)) return;
      this.#stranding = undefined;
      this.#stranded.set(server, true);
      this.#orphans.add(server);
    });
    this.#forward(client, server, () => this.#strandedPassage(server) ?? this.#toServer);
    this.#forward(server, client, () =>
      isMute ? "held" : (this.#strandedPassage(server) ?? this.#fromServer),
    );
  }

  #strandedPassage(server: Socket): Passage | undefined {
    const isStranded = this.#stranded.get(server);
    if (isStranded === undefined) return undefined;
    return isStranded ? "held" : "open";
  }

  #forward(from: Socket, to: Socket, passage: () => Passage): void {
    let last = Promise.resolve();
    from.on("data", (bytes) => {
      last = last.then(async () => {
        for (let now = passage(); now !== "open"; now = passage()) {
          if (now === "held") await new Promise<void>((resolve) => this.#waiting.add(resolve));
          else {
            await new Promise((resolve) => setTimeout(resolve, now as number));
            break;
          }
        }
        if (!to.destroyed) to.write(bytes);
      });
    });
  }
}
