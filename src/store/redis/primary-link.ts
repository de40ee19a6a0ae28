import { createClient } from "@redis/client";
import {
  type Client,
  COMMAND_OPTIONS,
  clientOptions,
  Deadlines,
  ignore,
  prove,
  runScript,
  type SendCommand,
  troubleOf,
} from "./client-library.js";
import {
  type OnMessage,
  type ProofCall,
  type Proven,
  type RedisLink,
  type RedisLog,
  RedisTrouble,
  type ScriptArgument,
} from "./link.js";
import {
  COMMAND_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  RECONNECT_DELAY_MS_MAX,
  RECONNECT_DELAY_MS_MIN,
} from "./redis-limits.js";
import type { Script } from "./scripts.js";
import { Sentinels } from "./sentinels.js";
import { addressOf, type RedisNode, type RedisTarget } from "./target.js";

/** What connections to one server are for: calls, proofs (WAIT holds its connection up), channels. */
type Role = "calls" | "proofs" | "channels";

interface Session extends Readonly<Record<Role, Client>> {
  readonly address: string;
  open: boolean;
}

/**
 * The way to one server, or to the primary that Sentinels name.
 *
 * The library's own client for Sentinels lends a connection to one command after
 * the other and knows no sharded channels, so the Sentinels are asked here: before
 * each attempt to connect, and again every second, in case a failover left the old
 * primary alive.
 */
export class PrimaryLink implements RedisLink {
  readonly #target: RedisTarget;
  readonly #log: RedisLog;
  /** Of each connection its own: one may be dead while others answer, and one that is slow is not dead. */
  readonly #deadlines: Readonly<Record<Role, Deadlines>>;
  /** Where there are any. */
  readonly #sentinels: Sentinels | undefined;
  readonly #followed = new Map<string, OnMessage>();
  readonly #watch: NodeJS.Timeout;
  /** Calls at the start wait for it; later ones fail at once where there is no connection. */
  readonly #firstAttempt: Promise<void>;
  #session: Session | undefined;
  #isChecking = false;
  #attempts = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(target: RedisTarget, clock: () => number, log: RedisLog) {
    this.#target = target;
    this.#log = log;
    // A server that is silent for so long is given up, with all that waits for it.
    const giveUp = () => this.#drop(this.#session, "no answer");
    const deadlines = () => new Deadlines(COMMAND_TIMEOUT_MS, clock, giveUp);
    this.#deadlines = { calls: deadlines(), proofs: deadlines(), channels: deadlines() };
    this.#sentinels = target.topology === "sentinel" ? new Sentinels(target, clock) : undefined;
    this.#firstAttempt = this.#connect();
    this.#watch = setInterval(() => this.#check(), COMMAND_TIMEOUT_MS);
    this.#watch.unref();
  }

  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    return this.#bounded("calls", (session) => runScript(sender(session.calls), script, keys, args));
  }

  prove(call: ProofCall): Promise<Proven> {
    return this.#bounded("proofs", (session) => prove(sender(session.proofs), call));
  }

  async getValues(keys: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    const values = await this.#bounded("calls", (session) => sender(session.calls)(["MGET", ...keys]));
    return (values as readonly (Buffer | null)[]).map((value) => value ?? undefined);
  }

  async setValues(values: ReadonlyMap<string, Buffer>, ttlMs: number): Promise<void> {
    await this.#bounded("calls", (session) => {
      const send = sender(session.calls);
      const sent = [...values].map(([key, value]) => send(["SET", key, value, "PX", String(ttlMs)]));
      return Promise.all(sent);
    });
  }

  follow(channel: string, onMessage: OnMessage): void {
    this.#followed.set(channel, onMessage);
    // If it fails the connection has, and the next one follows all of them.
    if (this.#session?.open) void this.#session.channels.sSubscribe(channel, onMessage).catch(ignore);
  }

  unfollow(channel: string): void {
    const onMessage = this.#followed.get(channel);
    this.#followed.delete(channel);
    // By its listener: the library then knows that the channel is on its way out, if it is followed again.
    if (this.#session?.open) void this.#session.channels.sUnsubscribe(channel, onMessage).catch(ignore);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    if (this.#retry !== undefined) clearTimeout(this.#retry);
    this.#sentinels?.close();
    this.#drop(this.#session, "closing");
  }

  #bounded<T>(role: Role, call: (session: Session) => Promise<T>): Promise<T> {
    const deadlines = this.#deadlines[role];
    return this.#session === undefined
      ? deadlines.race(this.#firstAttempt.then(() => this.#call(call)))
      : deadlines.race(this.#call(call));
  }

  async #call<T>(call: (session: Session) => Promise<T>): Promise<T> {
    const session = this.#session;
    if (session === undefined) throw new RedisTrouble("disconnected", "there is no connection to Redis");
    try {
      const reply = await call(session);
      // A connection alone may lead to a server that refuses all, and is then left again.
      this.#attempts = 0;
      return reply;
    } catch (error) {
      if (troubleOf(error).kind === "not_primary") this.#drop(session, "it is not the primary");
      throw error;
    }
  }

  async #connect(): Promise<void> {
    this.#retry = undefined;
    let address = "";
    try {
      const node = await this.#primary();
      address = addressOf(node);
      const session = await openSession(this.#target, node, (closed, reason) => this.#drop(closed, reason));
      if (this.#closed) {
        end(session);
        return;
      }
      // It may have ended since it was made: then nobody would drop it any more.
      if (!session.open) throw new RedisTrouble("disconnected", "the connection ended while it was made");
      this.#session = session;
      this.#log.connected(address);
      for (const [channel, onMessage] of this.#followed) {
        void session.channels.sSubscribe(channel, onMessage).catch(ignore);
      }
    } catch (error) {
      if (this.#attempts === 1) this.#log.disconnected(address, messageOf(error));
      this.#connectLater();
    }
  }

  #connectLater(): void {
    if (this.#closed || this.#retry !== undefined) return;
    const delayMs = Math.min(RECONNECT_DELAY_MS_MIN * 2 ** this.#attempts, RECONNECT_DELAY_MS_MAX);
    this.#attempts += 1;
    this.#retry = setTimeout(() => void this.#connect(), delayMs);
  }

  #drop(session: Session | undefined, reason: string): void {
    if (session === undefined || !session.open) return;
    end(session);
    if (session !== this.#session) return;
    this.#session = undefined;
    if (!this.#closed) this.#log.disconnected(session.address, reason);
    this.#connectLater();
  }

  async #primary(): Promise<RedisNode> {
    return this.#sentinels === undefined ? this.#target.nodes[0]! : (await this.#sentinels.primary()).node;
  }

  #check(): void {
    const session = this.#session;
    if (session === undefined) return;
    // Where nothing is asked nothing shows that it has gone dead; the library's own pings have no time limit.
    void this.#deadlines.channels.race(session.channels.ping()).catch(ignore);
    if (this.#sentinels !== undefined) void this.#checkPrimary(session, this.#sentinels);
  }

  async #checkPrimary(session: Session, sentinels: Sentinels): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    const named = await sentinels.primary().catch(() => undefined);
    this.#isChecking = false;
    // Where they disagree, proofs tell the true one.
    if (named?.isAgreed && addressOf(named.node) !== session.address) {
      this.#drop(session, `the Sentinels name ${addressOf(named.node)}`);
    }
  }
}

const sender =
  (client: Client): SendCommand =>
  (args) =>
    client.sendCommand(args, COMMAND_OPTIONS);

async function openSession(
  target: RedisTarget,
  node: RedisNode,
  onEnd: (session: Session, reason: string) => void,
): Promise<Session> {
  const options = clientOptions(target, node);
  const make = () =>
    createClient({ ...options, socket: { ...options.socket, reconnectStrategy: false } }) as Client;
  const session: Session = {
    address: addressOf(node),
    calls: make(),
    proofs: make(),
    channels: make(),
    open: true,
  };
  for (const client of [session.calls, session.proofs, session.channels]) {
    client.on("error", (error: Error) => onEnd(session, error.message));
    client.on("end", () => onEnd(session, "the connection ended"));
  }
  // One that was ended while it connects is connected all the same, after a while.
  const connect = (client: Client) => client.connect().finally(() => session.open || end(session));
  // The library bounds the connection, not the greeting: a process that stands still has its kernel accept.
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const trouble = new RedisTrouble("timeout", "it accepted a connection, and did not answer");
    timer = setTimeout(() => reject(trouble), 2 * CONNECT_TIMEOUT_MS);
  });
  try {
    const connecting = [connect(session.calls), connect(session.proofs), connect(session.channels)];
    await Promise.race([Promise.all(connecting), late]);
  } catch (error) {
    end(session);
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return session;
}

function end(session: Session): void {
  session.open = false;
  for (const client of [session.calls, session.proofs, session.channels]) client.destroy();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
