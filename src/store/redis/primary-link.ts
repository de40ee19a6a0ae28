import { createClient } from "@redis/client";
import {
  type Client,
  COMMAND_OPTIONS,
  clientOptions,
  Deadlines,
  ignore,
  noteRefusal,
  PendingBytes,
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
  /** Of each connection its own: one may be dead while others answer, and one that is slow is not dead. */
  readonly deadlines: Readonly<Record<Role, Deadlines>>;
  hasAnswered: boolean;
  /** Why it was given up; undefined: it was not. */
  ended: RedisTrouble | undefined;
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
  readonly #clock: () => number;
  readonly #log: RedisLog;
  readonly #startDeadlines: Deadlines;
  readonly #pending = new PendingBytes();
  /** Where there are any. */
  readonly #sentinels: Sentinels | undefined;
  readonly #followed = new Map<string, OnMessage>();
  readonly #watch: NodeJS.Timeout;
  /** Calls at the start wait for it; later ones fail at once where there is no connection. */
  readonly #firstAttempt: Promise<void>;
  #session: Session | undefined;
  /** Why there is no session. */
  #away = new RedisTrouble("disconnected", "there is no connection to Redis yet");
  #isChecking = false;
  #attempts = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(target: RedisTarget, clock: () => number, log: RedisLog) {
    this.#target = target;
    this.#clock = clock;
    this.#log = log;
    this.#startDeadlines = new Deadlines(COMMAND_TIMEOUT_MS, clock);
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
      const send = this.#pending.bound(sender(session.calls));
      const sent = [...values].map(([key, value]) => send(["SET", key, value, "PX", String(ttlMs)]));
      return Promise.all(sent);
    });
  }

  follow(channel: string, onMessage: OnMessage): void {
    this.#followed.set(channel, onMessage);
    if (this.#session !== undefined) this.#subscribe(this.#session, channel, onMessage);
  }

  unfollow(channel: string): void {
    const onMessage = this.#followed.get(channel);
    this.#followed.delete(channel);
    // By its listener: the library then knows that the channel is on its way out, if it is followed again.
    void this.#session?.channels.sUnsubscribe(channel, onMessage).catch(ignore);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    if (this.#retry !== undefined) clearTimeout(this.#retry);
    this.#sentinels?.close();
    if (this.#session !== undefined) this.#drop(this.#session, new RedisTrouble("disconnected", "closing"));
  }

  async #bounded<T>(role: Role, call: (session: Session) => Promise<T>): Promise<T> {
    if (this.#session === undefined) await this.#startDeadlines.race(this.#firstAttempt);
    if (this.#session === undefined) throw this.#away;
    return this.#session.deadlines[role].race(this.#call(this.#session, call));
  }

  async #call<T>(session: Session, call: (session: Session) => Promise<T>): Promise<T> {
    try {
      const reply = await call(session);
      // A connection alone may lead to a server that refuses all, and is then left again.
      this.#attempts = 0;
      if (!session.hasAnswered) this.#log.connected(session.address);
      session.hasAnswered = true;
      return reply;
    } catch (error) {
      if (session.ended !== undefined) throw lossOf(session);
      const trouble = troubleOf(error);
      if (trouble.kind === "not_primary") this.#drop(session, trouble);
      if (trouble.message.startsWith("MOVED")) throw new RedisTrouble("other", OF_A_CLUSTER, error);
      throw error;
    }
  }

  async #connect(): Promise<void> {
    this.#retry = undefined;
    let place = `the primary ${this.#target.primaryName}`;
    try {
      const node = await this.#primary();
      place = addressOf(node);
      const session = this.#newSession(node);
      await this.#open(session);
      if (this.#closed) {
        end(session);
        return;
      }
      this.#session = session;
      for (const [channel, onMessage] of this.#followed) this.#subscribe(session, channel, onMessage);
    } catch (error) {
      const { kind, message } = troubleOf(error);
      this.#away = new RedisTrouble(kind, `no connection to ${place}: ${message}`, error);
      this.#connectLater();
    }
  }

  #newSession(node: RedisNode): Session {
    const options = clientOptions(this.#target, node);
    const make = () =>
      createClient({ ...options, socket: { ...options.socket, reconnectStrategy: false } }) as Client;
    // A server that is silent for so long is given up, with all that waits for it.
    const giveUp = () => this.#drop(session, new RedisTrouble("timeout", "no answer"));
    const deadlines = () => new Deadlines(COMMAND_TIMEOUT_MS, this.#clock, giveUp);
    const session: Session = {
      address: addressOf(node),
      calls: make(),
      proofs: make(),
      channels: make(),
      deadlines: { calls: deadlines(), proofs: deadlines(), channels: deadlines() },
      hasAnswered: false,
      ended: undefined,
    };
    for (const client of clientsOf(session)) {
      client.on("error", (error: Error) => this.#drop(session, troubleOf(error)));
      client.on("end", () => this.#drop(session, new RedisTrouble("disconnected", "it was closed")));
    }
    return session;
  }

  async #open(session: Session): Promise<void> {
    // One that was ended while it connects is connected all the same, after a while.
    const connect = (client: Client) => client.connect().finally(() => session.ended && client.destroy());
    // The library bounds the connection, not the greeting: a process that stands still has its kernel accept.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const trouble = new RedisTrouble("timeout", "it accepted a connection, and did not answer");
      timer = setTimeout(() => reject(trouble), 2 * CONNECT_TIMEOUT_MS);
    });
    try {
      await Promise.race([Promise.all(clientsOf(session).map(connect)), late]);
    } catch (error) {
      this.#drop(session, troubleOf(error));
    } finally {
      clearTimeout(timer);
    }
    // Also one of a moment ago: nobody would drop it any more.
    if (session.ended !== undefined) throw session.ended;
  }

  #connectLater(): void {
    if (this.#closed || this.#retry !== undefined) return;
    const delayMs = Math.min(RECONNECT_DELAY_MS_MIN * 2 ** this.#attempts, RECONNECT_DELAY_MS_MAX);
    this.#attempts += 1;
    this.#retry = setTimeout(() => void this.#connect(), delayMs);
  }

  #drop(session: Session, reason: RedisTrouble): void {
    if (session.ended !== undefined) return;
    session.ended = reason;
    end(session);
    if (session !== this.#session) return;
    this.#session = undefined;
    this.#away = lossOf(session);
    if (!this.#closed) this.#log.disconnected(session.address, reason.message);
    this.#connectLater();
  }

  #subscribe({ channels }: Session, channel: string, onMessage: OnMessage): void {
    // If it fails otherwise the connection has, and the next one follows all of them.
    channels.sSubscribe(channel, onMessage).catch((error: unknown) => noteRefusal(this.#log, error));
  }

  async #primary(): Promise<RedisNode> {
    return this.#sentinels === undefined ? this.#target.nodes[0]! : (await this.#sentinels.primary()).node;
  }

  #check(): void {
    const session = this.#session;
    if (session === undefined) return;
    // Where nothing is asked nothing shows that it has gone dead; the library's own pings have no time limit.
    void session.deadlines.channels.race(session.channels.ping()).catch(ignore);
    if (this.#sentinels !== undefined) void this.#checkPrimary(session, this.#sentinels);
  }

  async #checkPrimary(session: Session, sentinels: Sentinels): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    const named = await sentinels.primary().catch((error: RedisTrouble) => {
      // What is lost by it shows only when the primary is lost too.
      this.#log.trouble(error.kind, error.message);
      return undefined;
    });
    this.#isChecking = false;
    // Where they disagree, proofs tell the true one.
    if (named?.isAgreed === false)
      this.#log.trouble("other", "no more than half of the Sentinels name the same primary");
    else if (named !== undefined && addressOf(named.node) !== session.address) {
      const reason = `the Sentinels name ${addressOf(named.node)}`;
      this.#drop(session, new RedisTrouble("not_primary", reason));
    }
  }
}

const sender =
  (client: Client): SendCommand =>
  (args) =>
    client.sendCommand(args, COMMAND_OPTIONS);

const clientsOf = ({ calls, proofs, channels }: Session) => [calls, proofs, channels];

function end(session: Session): void {
  for (const client of clientsOf(session)) client.destroy();
}

/** What becomes of calls over a connection that was given up. */
function lossOf({ address, ended }: Session): RedisTrouble {
  return new RedisTrouble(ended!.kind, `the connection to ${address} is lost: ${ended!.message}`);
}

const OF_A_CLUSTER = "the server is one of a Cluster: --redis-url must begin with redis-cluster";
