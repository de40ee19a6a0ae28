import { failureOf, TierFailure } from "./failures.js";
import { CONNECT_MS_MAX, SILENCE_MS_MAX, WATCH_INTERVAL_MS } from "./limits.js";
import { delayMs, type RedisConnection } from "./redis-connection.js";

/** Receives the events of a link. */
export interface LinkObserver {
  connected(): void;
  disconnected(error: unknown): void;
  /** An attempt to connect failed. */
  failed(error: unknown): void;
}

export type OpenConnection = (onLost: (error: unknown) => void) => RedisConnection;

/**
 * Keeps one connection to Redis. A connection that is lost, or on which a command gets no
 * reply for too long, is abandoned with its outstanding commands and replaced.
 */
export class RedisLink {
  readonly #open: OpenConnection;
  readonly #clock: () => number;
  readonly #observer: LinkObserver;
  /** In the order in which they were sent. */
  readonly #pending = new Set<Pending>();
  readonly #watch: NodeJS.Timeout;
  #connection: RedisConnection | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempts = 0;
  #isClosed = false;
  #answeredMs = Number.NEGATIVE_INFINITY;

  constructor(open: OpenConnection, clock: () => number, observer: LinkObserver) {
    this.#open = open;
    this.#clock = clock;
    this.#observer = observer;
    this.#watch = setInterval(() => this.#checkSilence(), WATCH_INTERVAL_MS);
    this.#watch.unref();
    void this.#connect();
  }

  get isUp(): boolean {
    return this.#connection !== undefined;
  }

  /** Whether no command was answered within this many milliseconds. */
  isSilentFor(ms: number): boolean {
    return this.#clock() - this.#answeredMs >= ms;
  }

  /** Settles when the call does, or when the connection is abandoned. */
  run<T>(call: (connection: RedisConnection) => Promise<T>): Promise<T> {
    const connection = this.#connection;
    if (connection === undefined)
      return Promise.reject(new TierFailure("disconnected", "there is no connection to Redis"));
    return new Promise<T>((resolve, reject) => {
      const pending: Pending = { sinceMs: this.#clock(), reject };
      this.#pending.add(pending);
      const settled = () => {
        this.#pending.delete(pending);
        if (connection !== this.#connection) return;
        this.#answeredMs = this.#clock();
        // An open connection is not enough: its server may refuse every command.
        this.#attempts = 0;
      };
      call(connection).finally(settled).then(resolve, reject);
    });
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#watch);
    if (this.#retry !== undefined) clearTimeout(this.#retry);
    this.#lose(this.#connection, new TierFailure("disconnected", "closing"));
  }

  async #connect(): Promise<void> {
    this.#retry = undefined;
    let lost: unknown;
    let isOver = false;
    const connection = this.#open((error) => {
      if (connection === this.#connection) this.#lose(connection, error);
      else lost ??= error;
    });
    try {
      // A client that is destroyed while it connects may still connect later.
      await within(
        CONNECT_MS_MAX,
        connection.connect().finally(() => isOver && connection.destroy()),
      );
      if (lost !== undefined) throw lost;
      if (this.#isClosed) throw new TierFailure("disconnected", "closing");
      this.#connection = connection;
    } catch (error) {
      isOver = true;
      connection.destroy();
      if (this.#isClosed) return;
      this.#observer.failed(error);
      this.#connectLater();
      return;
    }
    this.#observer.connected();
  }

  #connectLater(): void {
    if (this.#isClosed || this.#retry !== undefined) return;
    this.#retry = setTimeout(() => void this.#connect(), delayMs(this.#attempts));
    this.#attempts += 1;
  }

  #lose(connection: RedisConnection | undefined, error: unknown): void {
    if (connection === undefined) return;
    this.#connection = undefined;
    const { kind, message } = failureOf(error);
    const loss = new TierFailure(kind, `the connection to Redis is lost: ${message}`);
    for (const { reject } of this.#pending) reject(loss);
    this.#pending.clear();
    connection.destroy();
    if (!this.#isClosed) this.#observer.disconnected(loss);
    this.#connectLater();
  }

  #checkSilence(): void {
    const [oldest] = this.#pending;
    if (oldest === undefined || this.#clock() - oldest.sinceMs < SILENCE_MS_MAX) return;
    this.#lose(this.#connection, new TierFailure("disconnected", `no reply within ${SILENCE_MS_MAX} ms`));
  }
}

interface Pending {
  readonly sinceMs: number;
  readonly reject: (error: TierFailure) => void;
}

async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    const late = new TierFailure("timeout", `no connection within ${limitMs} ms`);
    timer = setTimeout(() => reject(late), limitMs);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}
