import {
  ConnectionTimeoutError,
  type createClient,
  ErrorReply,
  RESP_TYPES,
  SocketTimeoutError,
} from "@redis/client";
import {
  type ProofCall,
  type Proven,
  type RedisLog,
  RedisTrouble,
  type ScriptArgument,
  type TroubleKind,
} from "./link.js";
import {
  COMMAND_TIMEOUT_MS,
  COMMANDS_PENDING_MAX,
  CONNECT_TIMEOUT_MS,
  PENDING_BYTES_MAX,
  PROOF_ACK_TIMEOUT_MS,
} from "./redis-limits.js";
import type { Script } from "./scripts.js";
import type { RedisNode, RedisTarget } from "./target.js";

export type Client = ReturnType<typeof createClient>;

/** Sends one command, its keys' slot permitting, on one connection or another. */
export type SendCommand = (args: ScriptArgument[]) => Promise<unknown>;

/**
 * Bounds the bytes of bodies that the library holds to send them: it keeps a command until it is answered, though
 * nobody may wait for that any more, and a slow server answers just enough not to be given up.
 */
export class PendingBytes {
  #bytes = 0;

  /** Sends by `send`, or rejects where too much is on its way. */
  bound(send: SendCommand): SendCommand {
    return async (args) => {
      let bytes = 0;
      for (const arg of args) bytes += arg.length;
      if (this.#bytes + bytes > PENDING_BYTES_MAX)
        throw new RedisTrouble("overload", "too many bodies are on their way to Redis");
      this.#bytes += bytes;
      try {
        return await send(args);
      } finally {
        this.#bytes -= bytes;
      }
    };
  }
}

/** Runs a script by its digest; a server that has forgotten it gets its text. */
export async function runScript(
  send: SendCommand,
  script: Script,
  keys: readonly string[],
  args: readonly ScriptArgument[],
): Promise<unknown> {
  const rest = [String(keys.length), ...keys, ...args];
  try {
    return await send(["EVALSHA", script.sha1, ...rest]);
  } catch (error) {
    if (!(error instanceof ErrorReply) || !error.message.startsWith("NOSCRIPT")) throw error;
    return send(["EVAL", script.text, ...rest]);
  }
}

/** Writes a proof, and waits until as many replicas have it as its reply says that there must be. */
export async function prove(send: SendCommand, { script, key, args, replicas }: ProofCall): Promise<Proven> {
  const reply = await runScript(send, script, [key], args);
  const needed = replicas(reply);
  const acknowledged =
    needed === 0 ? 0 : Number(await send(["WAIT", String(needed), String(PROOF_ACK_TIMEOUT_MS)]));
  return { reply, acknowledged };
}

/** What all our connections have in common. Time limits are ours: see Deadlines. */
export function clientOptions(target: RedisTarget, node: RedisNode) {
  return {
    ...clientDefaults(target),
    socket: { ...socketOptions(target), host: node.host, port: node.port },
    database: target.database,
  };
}

export function clientDefaults(target: RedisTarget) {
  return {
    RESP: 3 as const,
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
    name: "splitcache",
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_PENDING_MAX,
    // What managed services announce of their upkeep, upon which the library would change servers by itself.
    maintNotifications: "disabled" as const,
    pingInterval: COMMAND_TIMEOUT_MS,
  };
}

export function socketOptions({ tls, ca, cert, key }: RedisTarget) {
  const common = { connectTimeout: CONNECT_TIMEOUT_MS, noDelay: true };
  return tls
    ? {
        ...common,
        tls: true as const,
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert, key }),
      }
    : common;
}

/** Strings come as bytes; zero: no time limit of the library's. */
export const COMMAND_OPTIONS = { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

/**
 * Bounds how long promises take. All have the same limit, so that one timer
 * watches them all: a timer a command would cost more than the command.
 */
export class Deadlines {
  readonly #pending: Pending[] = [];
  #timer: NodeJS.Timeout | undefined;
  #checkMs = 0;
  #answeredMs = Number.NEGATIVE_INFINITY;
  readonly #limitMs: number;
  readonly #clock: () => number;
  /** Is told when something took too long, and nothing else was answered for so long either. */
  readonly #onTimeout: () => void;

  constructor(limitMs: number, clock: () => number, onTimeout: () => void = () => {}) {
    this.#limitMs = limitMs;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const pending = { dueMs: this.#clock() + this.#limitMs, done: false, spared: false, reject };
      this.#pending.push(pending);
      if (this.#timer === undefined) this.#checkLater();
      promise.then(
        (value) => {
          pending.done = true;
          this.#answeredMs = this.#clock();
          resolve(value);
        },
        (error: unknown) => {
          pending.done = true;
          if (error instanceof ErrorReply) this.#answeredMs = this.#clock();
          reject(troubleOf(error));
        },
      );
    });
  }

  #checkLater(): void {
    this.#checkMs = this.#clock() + CHECK_INTERVAL_MS;
    this.#timer = setTimeout(() => this.#check(), CHECK_INTERVAL_MS);
  }

  #check(): void {
    this.#timer = undefined;
    const nowMs = this.#clock();
    // Where we stood still ourselves, answers may lie here unread; but no call is spared twice.
    const stoodStill = nowMs - this.#checkMs > CHECK_INTERVAL_MS;
    let kept = 0;
    let late = false;
    for (const pending of this.#pending) {
      if (pending.done) continue;
      if (pending.dueMs <= nowMs && stoodStill && !pending.spared) {
        pending.spared = true;
        this.#pending[kept++] = pending;
      } else if (pending.dueMs <= nowMs) {
        pending.reject(new RedisTrouble("timeout", `Redis did not answer within ${this.#limitMs} ms`));
        late = true;
      } else this.#pending[kept++] = pending;
    }
    this.#pending.length = kept;
    if (kept > 0) this.#checkLater();
    if (late && nowMs - this.#answeredMs >= this.#limitMs) this.#onTimeout();
  }
}

interface Pending {
  readonly dueMs: number;
  done: boolean;
  spared: boolean;
  readonly reject: (error: RedisTrouble) => void;
}

/** By how much something may outlast its limit. */
const CHECK_INTERVAL_MS = 100;

const KINDS: readonly (readonly [start: RegExp, kind: TroubleKind])[] = [
  [/^(OOM|MISCONF)\b/, "full"],
  [/^NOREPLICAS\b/, "no_replicas"],
  [/^(READONLY|MASTERDOWN)\b/, "not_primary"],
  [/^LOADING\b/, "loading"],
  [/^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|CROSSSLOT)\b|non local key/, "moving"],
  [/^(NOAUTH|WRONGPASS|NOPERM|DENIED)\b/, "denied"],
  [/^BUSY\b/, "busy"],
];

/** What an error of the library means. One that no server sent is about the connection. */
export function troubleOf(error: unknown): RedisTrouble {
  if (error instanceof RedisTrouble) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ErrorReply)) {
    const isTimeout = error instanceof ConnectionTimeoutError || error instanceof SocketTimeoutError;
    const kind = message.includes("queue is full") ? "overload" : isTimeout ? "timeout" : "disconnected";
    return new RedisTrouble(kind, message.trim(), error);
  }
  const kind = KINDS.find(([start]) => start.test(message))?.[1] ?? "other";
  return new RedisTrouble(kind, message, error);
}

/** What several servers said, as one trouble of the first one's kind. */
export function joined(troubles: readonly RedisTrouble[]): RedisTrouble {
  const messages = troubles.map(({ message }) => message);
  return new RedisTrouble(troubles[0]!.kind, messages.join("; "));
}

/** Tells of a subscription that the server refuses; any other failure shows in the end of its connection. */
export function noteRefusal(log: RedisLog, error: unknown): void {
  if (!(error instanceof ErrorReply)) return;
  const { kind, message } = troubleOf(error);
  log.trouble(kind, `a subscription: ${message}`);
}

/** For a call whose failure shows elsewhere: in the end of its connection, or in the next call. */
export function ignore(): void {}
