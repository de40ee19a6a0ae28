import type { Argument, RedisConnection } from "../../../src/tier/redis/redis-connection.js";

/** A command that a fake server has received, and how it is answered. */
export interface Received {
  readonly command: readonly Argument[];
  readonly answer: (reply: unknown) => void;
  readonly refuse: (error: Error) => void;
}

/** The client's end of a connection whose server is the test: it answers nothing by itself. */
export class FakeConnection implements RedisConnection {
  readonly received: Received[] = [];
  isDestroyed = false;
  readonly onLost: (error: unknown) => void;
  #connected: { resolve: () => void; reject: (error: Error) => void } | undefined;
  readonly #connects: boolean;

  constructor(onLost: (error: unknown) => void, connects = true) {
    this.onLost = onLost;
    this.#connects = connects;
  }

  connect(): Promise<void> {
    if (this.#connects) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#connected = { resolve, reject };
    });
  }

  finishConnecting(error?: Error): void {
    if (error === undefined) this.#connected?.resolve();
    else this.#connected?.reject(error);
  }

  async get(keys: readonly string[], onValue: (index: number, value: Buffer | undefined) => void) {
    const values = (await this.send("", ["MGET", ...keys])) as readonly (Buffer | undefined)[];
    for (const [index, value] of values.entries()) onValue(index, value);
  }

  send(_key: string, command: Argument[]): Promise<unknown> {
    return new Promise((answer, refuse) => this.received.push({ command, answer, refuse }));
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}
