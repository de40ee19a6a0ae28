import { createClient } from "@redis/client";
import { type Client, clientOptions, ignore } from "./client-library.js";
import { RedisTrouble } from "./link.js";
import { COMMAND_TIMEOUT_MS } from "./redis-limits.js";
import type { RedisNode, RedisTarget } from "./target.js";

/** A node, and the name by which its connection is known. */
export interface AddressedNode extends RedisNode {
  readonly address: string;
}

/** Connections to Sentinels, or to nodes of a Cluster for what must not go over the library's own: one each. */
export class NodeConnections {
  readonly #target: RedisTarget;
  readonly #onMade: (client: Client, address: string) => void;
  readonly #onEnd: (address: string) => void;
  readonly #clients = new Map<string, { readonly client: Client; readonly connecting: Promise<Client> }>();
  #closed = false;

  constructor(
    target: RedisTarget,
    onMade: (client: Client, address: string) => void = () => {},
    onEnd: (address: string) => void = () => {},
  ) {
    this.#target = target;
    this.#onMade = onMade;
    this.#onEnd = onEnd;
  }

  get addresses(): Iterable<string> {
    return [...this.#clients.keys()];
  }

  /** The connection to a node that is there, or is being made; undefined: neither. */
  known(address: string): Promise<Client> | undefined {
    return this.#clients.get(address)?.connecting;
  }

  /** The connection to a node, made if need be. Rejects if it cannot be. */
  async to(node: AddressedNode): Promise<Client> {
    const { address } = node;
    const known = this.#clients.get(address)?.connecting;
    if (known !== undefined) return known;
    if (this.#closed) throw new RedisTrouble("disconnected", "closing");
    const options = clientOptions(this.#target, node);
    const client = createClient({
      ...options,
      socket: { ...options.socket, socketTimeout: SILENCE_MAX_MS, reconnectStrategy: false },
    }) as Client;
    // The library tells of errors, too, that leave the connection open.
    const forget = () => {
      if (this.#clients.get(address)?.client === client) this.drop(address);
    };
    client.on("error", forget).on("end", forget);
    const connecting = client.connect() as Promise<Client>;
    connecting.catch(forget);
    this.#clients.set(address, { client, connecting });
    this.#onMade(client, address);
    return connecting;
  }

  drop(address: string): void {
    const known = this.#clients.get(address);
    if (known === undefined) return;
    this.#clients.delete(address);
    const { client, connecting } = known;
    client.destroy();
    // One that was ended while it connects is connected all the same, after a while.
    connecting.then(() => client.destroy(), ignore);
    this.#onEnd(address);
  }

  dropAll(): void {
    for (const address of this.addresses) this.drop(address);
  }

  close(): void {
    this.#closed = true;
    this.dropAll();
  }
}

/** A connection on which nothing passes for so long, neither way, is given up. */
export const SILENCE_MAX_MS = 3 * COMMAND_TIMEOUT_MS;
