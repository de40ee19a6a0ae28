import { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { Client, type QueryResultRow } from "pg";
import { LogFailure } from "../failures/failures.js";
import type { PostgresLimits } from "../postgres-limits.js";

/** Where the database is, and as whom to connect. */
export interface PostgresTarget {
  readonly host: string;
  readonly port: number;
  /** The directory of the server's Unix socket; the host is not used then. */
  readonly socketDirectory: string | undefined;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  /** Undefined: without TLS. */
  readonly tls: ConnectionOptions | undefined;
}

/** A statement that is prepared once per connection, under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** One connection to PostgreSQL. It ends for good at the first failure of the connection itself. */
export interface Session {
  /** Runs a prepared statement; statements are answered in order. Rejects when it fails or takes too long. */
  run<Row extends QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]>;
  /** Runs SQL text that takes no time, such as settings. */
  set(text: string): Promise<void>;
  /** Runs SQL text that may take long; several statements are one transaction. */
  execute(text: string): Promise<void>;
  /** As `run`, for a statement that may take long. */
  runLong(statement: Statement, values: readonly unknown[]): Promise<void>;
  readonly isOpen: boolean;
  /** Closes the connection at once. Outstanding statements reject. */
  destroy(): void;
}

export interface SessionOptions {
  readonly target: PostgresTarget;
  readonly limits: PostgresLimits;
  readonly applicationName: string;
  onNotification(payload: string): void;
  /** The connection ended, other than by `destroy`. */
  onEnd(error: Error): void;
}

/** Connects and authenticates; rejects when that fails or takes too long. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { target, limits, onNotification } = options;
  const socket = new Socket();
  const client = new Client({
    host: target.socketDirectory ?? target.host,
    port: target.port,
    user: target.user,
    database: target.database,
    // A function, since the library would look for a missing password in places of its own.
    password: (() => target.password) as () => string,
    ssl: target.tls ?? false,
    stream: () => socket,
    pipeline: true,
    keepAlive: true,
    application_name: options.applicationName,
    // Limits are set later: a pooler refuses such parameters at the start, and would not be recognised.
    connectionTimeoutMillis: limits.connectMs,
  });
  const session = new PgSession(client, socket, options);
  client.on("error", (error) => session.end(error));
  client.on("end", () => session.end(new LogFailure("unreachable", "the connection was closed")));
  client.on("notification", ({ payload }) => onNotification(payload ?? ""));
  try {
    await client.connect();
  } catch (error) {
    session.destroy();
    throw error;
  }
  return session;
}

class PgSession implements Session {
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #options: SessionOptions;
  #isOpen = true;
  /** In the order in which they are answered. */
  readonly #turns: Turn[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(client: Client, socket: Socket, options: SessionOptions) {
    this.#client = client;
    this.#socket = socket;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  async run<Row extends QueryResultRow>(statement: Statement, values: readonly unknown[]) {
    return this.#prepared<Row>(statement, values, this.#options.limits.answerMs);
  }

  async set(text: string): Promise<void> {
    await this.#simple(text, this.#options.limits.answerMs);
  }

  execute(text: string): Promise<void> {
    return this.#long((limitMs) => this.#simple(text, limitMs));
  }

  runLong(statement: Statement, values: readonly unknown[]): Promise<void> {
    return this.#long((limitMs) => this.#prepared(statement, values, limitMs));
  }

  async #long(work: (limitMs: number) => Promise<unknown>): Promise<void> {
    const { longAnswerMs, statementMs, lockMs } = this.#options.limits;
    await this.set(limitsSql(longAnswerMs, longAnswerMs));
    try {
      await work(longAnswerMs);
    } finally {
      if (this.#isOpen) await this.set(limitsSql(statementMs, lockMs));
    }
  }

  async #prepared<Row extends QueryResultRow>(
    statement: Statement,
    values: readonly unknown[],
    limitMs: number,
  ) {
    const query = { ...statement, values: values as unknown[] };
    const result = await this.#within(limitMs, () => this.#client.query<Row>(query));
    return result.rows;
  }

  async #simple(text: string, limitMs: number): Promise<void> {
    await this.#within(limitMs, () => this.#client.query(text) as Promise<unknown>);
  }

  destroy(): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  end(error: Error): void {
    if (!this.#isOpen) return;
    this.destroy();
    this.#options.onEnd(error);
  }

  /**
   * A connection that does not answer in time is half open or stuck, and is closed. Statements
   * are answered in order, so the time limit of each begins when it becomes the first.
   */
  async #within<T>(limitMs: number, query: () => Promise<T>): Promise<T> {
    if (!this.#isOpen) throw new LogFailure("unreachable", "the connection is closed");
    const turn: Turn = { limitMs, reject: () => {} };
    const late = new Promise<never>((_, reject) => {
      turn.reject = reject;
    });
    this.#turns.push(turn);
    if (this.#turns.length === 1) this.#startTimer();
    try {
      return await Promise.race([query(), late]);
    } finally {
      const wasFirst = this.#turns[0] === turn;
      this.#turns.splice(this.#turns.indexOf(turn), 1);
      if (wasFirst) this.#startTimer();
    }
  }

  #startTimer(): void {
    clearTimeout(this.#timer);
    const [first] = this.#turns;
    if (first === undefined || !this.#isOpen) return;
    this.#timer = setTimeout(() => {
      const failure = new LogFailure("noAnswer", `no answer within ${first.limitMs} ms`);
      const turns = [...this.#turns];
      this.end(failure);
      for (const { reject } of turns) reject(failure);
    }, first.limitMs);
  }
}

/** SQL that sets the server's limits for a statement and a lock. */
export function limitsSql(statementMs: number, lockMs: number): string {
  return `set statement_timeout = ${statementMs}; set lock_timeout = ${lockMs}`;
}

/** A statement that is not answered yet. */
interface Turn {
  readonly limitMs: number;
  reject(error: Error): void;
}

/** The target as logs show it: never with a password. */
export function describeTarget(target: PostgresTarget): string {
  const { socketDirectory, host, port, database, user } = target;
  const place = socketDirectory ?? (host.includes(":") ? `[${host}]` : host);
  return `${user}@${place}:${port}/${database}`;
}
