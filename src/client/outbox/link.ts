import type { Queryable } from "./outbox-table.js";

/** A client of `pg`, connected. */
export interface OutboxClient extends Queryable {
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** One connection to the database, opened when it is needed, and again after it failed or did not answer in time. */
export class Link {
  readonly #connect: () => Promise<OutboxClient>;
  readonly #limitMs: number;
  #client: OutboxClient | undefined;
  #isClosed = false;

  constructor(connect: () => Promise<OutboxClient>, limitMs: number) {
    this.#connect = connect;
    this.#limitMs = limitMs;
  }

  /** Runs statements. Rejects if they take too long: a connection that is cut off may never answer. */
  async run<T>(work: (client: OutboxClient) => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the database did not answer in time")), this.#limitMs);
    });
    const running = this.#open().then(work);
    // It may fail after the limit has passed.
    running.catch(() => undefined);
    try {
      return await Promise.race([running, limit]);
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }

  async #open(): Promise<OutboxClient> {
    if (this.#client !== undefined) return this.#client;
    if (this.#isClosed) throw new Error("the outbox was closed");
    const client = await this.#connect();
    // An idle client emits it when its connection breaks; without a listener the process would end.
    client.on("error", () => this.#forget(client));
    if (this.#isClosed) {
      client.end().catch(() => undefined);
      throw new Error("the outbox was closed");
    }
    this.#client = client;
    return client;
  }

  #forget(client: OutboxClient): void {
    if (this.#client === client) this.#client = undefined;
  }

  #drop(): void {
    this.#client?.end().catch(() => undefined);
    this.#client = undefined;
  }
}
