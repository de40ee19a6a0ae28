import type { Server } from "node:net";
import type { ListenAddress } from "../config/address.js";
import { type Listener, type ListenOptions, listen } from "./listeners.js";

/** The purpose of a listener. */
export type Purpose = "grpc" | "health" | "http" | "admin";

/** The open listeners of a process, by purpose. */
export class ListenerGroups {
  readonly #options: ListenOptions;
  readonly #listeners: { readonly purpose: Purpose; readonly listener: Listener }[] = [];

  constructor(options: ListenOptions) {
    this.#options = options;
  }

  /** Opens a listener on each address, with a server for each. Rejects with a ListenError at the first that fails. */
  async open(
    purpose: Purpose,
    addresses: readonly ListenAddress[],
    makeServer: (address: ListenAddress) => Server,
  ): Promise<void> {
    for (const address of addresses) {
      const listener = await listen(makeServer(address), address, this.#options);
      this.#listeners.push({ purpose, listener });
    }
  }

  addresses(purpose: Purpose): ListenAddress[] {
    return this.#of(purpose).map(({ address }) => address);
  }

  /** Stops accepting connections. Resolves when all connections have ended. */
  async stopAccepting(purpose: Purpose): Promise<void> {
    await Promise.all(this.#of(purpose).map((listener) => listener.stopAccepting()));
  }

  /** Closes all listeners and cuts their connections. */
  destroy(): void {
    for (const { listener } of this.#listeners) listener.destroy();
  }

  #of(purpose: Purpose): Listener[] {
    return this.#listeners.filter((entry) => entry.purpose === purpose).map(({ listener }) => listener);
  }
}
