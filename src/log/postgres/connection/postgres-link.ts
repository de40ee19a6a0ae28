import type { QueryResultRow } from "pg";
import { type FailureCause, LogFailure } from "../failures/failures.js";
import type { PostgresLimits } from "../postgres-limits.js";
import type { Session, Statement } from "./session.js";

/** How a link opens its sessions, and what it does with them. */
export interface PostgresLinkOptions {
  readonly limits: PostgresLimits;
  /** Connects and prepares a session; `onEnd` is called when it ends by itself. */
  open(onEnd: (error: Error) => void): Promise<PreparedSession>;
  /** A session is ready, at first and after each loss. */
  onUp(): void;
  onDown(): void;
  onFailure(error: unknown): FailureCause;
  /** A number from 0 to 1. */
  random(): number;
  nowMs(): number;
}

/**
 * A session with the server's incarnation as it was when it began. It stays the same for
 * as long as the session lasts: a server that starts again has none of its sessions, and a
 * standby, whose timeline may change, is refused.
 */
export interface PreparedSession {
  readonly session: Session;
  readonly incarnation: string;
  /** The key of the cluster's notifications. */
  readonly key: Buffer;
}

/** Keeps one session open and replaces it when it ends. */
export class PostgresLink {
  readonly #options: PostgresLinkOptions;
  #session: Session | undefined;
  #incarnation = "";
  #key: Buffer = Buffer.alloc(0);
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #isClosed = false;
  #downSinceMs: number;
  readonly #waiting = new Set<() => void>();

  constructor(options: PostgresLinkOptions) {
    this.#options = options;
    this.#downSinceMs = options.nowMs();
  }

  /** Starts to connect. Never throws: failures are reported and the attempt is repeated. */
  start(): void {
    void this.#connect();
  }

  get isUp(): boolean {
    return this.#session?.isOpen === true;
  }

  /** Of the current session. */
  get incarnation(): string {
    return this.#incarnation;
  }

  get key(): Buffer {
    return this.#key;
  }

  /** Waits for a session, unless there has been none for longer than the limit. */
  async untilUp(limitMs: number): Promise<void> {
    if (this.isUp || this.#isClosed || this.#options.nowMs() - this.#downSinceMs > limitMs) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, limitMs);
      this.#waiting.add(end);
    });
  }

  /**
   * The current session, for conclusions that hold only within one session: it is another
   * object after each loss. Throws if there is none.
   */
  get session(): Session {
    if (this.#session === undefined) throw new LogFailure("unreachable", "there is no connection");
    return this.#session;
  }

  async run<Row extends QueryResultRow>(statement: Statement, values: readonly unknown[]) {
    return this.session.run<Row>(statement, values);
  }

  async runLong(statement: Statement, values: readonly unknown[]): Promise<void> {
    return this.session.runLong(statement, values);
  }

  async execute(text: string): Promise<void> {
    return this.session.execute(text);
  }

  /** Abandons the session and opens a new one, after a failure that left its state uncertain. */
  replace(error: unknown): void {
    const session = this.#session;
    if (session === undefined) return;
    session.destroy();
    this.#lost(session, error);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#session?.destroy();
    this.#session = undefined;
    for (const end of this.#waiting) end();
  }

  async #connect(): Promise<void> {
    let opened: Session | undefined;
    try {
      const { session, incarnation, key } = await this.#options.open((error) => {
        if (opened !== undefined) this.#lost(opened, error);
      });
      opened = session;
      if (this.#isClosed) return session.destroy();
      if (!session.isOpen) throw new LogFailure("unreachable", "the connection was closed");
      this.#failures = 0;
      this.#session = session;
      this.#incarnation = incarnation;
      this.#key = key;
      for (const end of this.#waiting) end();
      this.#options.onUp();
    } catch (error) {
      if (this.#isClosed) return;
      const cause = this.#options.onFailure(error);
      this.#retry(cause === "unreachable" || cause === "noAnswer" ? "max" : "refusedMax");
    }
  }

  #lost(session: Session, error: unknown): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#downSinceMs = this.#options.nowMs();
    if (this.#isClosed) return;
    this.#options.onFailure(error);
    this.#options.onDown();
    this.#retry("max");
  }

  /** Doubles the wait after each failure, with half of it random, so that fifty sidecars do not return at once. */
  #retry(bound: "max" | "refusedMax"): void {
    const { min, [bound]: max } = this.#options.limits.reconnectMs;
    const ceilingMs = Math.min(max, min * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#timer = setTimeout(() => void this.#connect(), ceilingMs * (0.5 + this.#options.random() / 2));
  }
}
