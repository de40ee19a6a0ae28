import { createClient, createCluster } from "@redis/client";
import slotOf from "cluster-key-slot";
import {
  COMMAND_OPTIONS,
  clientDefaults,
  clientOptions,
  Deadlines,
  runScript,
  socketOptions,
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
  PROOF_ACK_TIMEOUT_MS,
  RECONNECT_DELAY_MS_MAX,
  RECONNECT_DELAY_MS_MIN,
} from "./redis-limits.js";
import type { Script } from "./scripts.js";
import { addressOf, type RedisNode, type RedisTarget } from "./target.js";

type Cluster = ReturnType<typeof createCluster>;

type Client = ReturnType<typeof createClient>;

interface Session {
  readonly calls: Cluster;
  /** The library's own; that of `calls` is ours. */
  readonly subscribe: (channel: string, onMessage: OnMessage) => Promise<void>;
  /** A connection of their own to each primary, since WAIT holds up what comes after it; by address. */
  readonly proofs: Map<string, Promise<Client>>;
}

/**
 * The way to a Cluster: the library follows its slots.
 *
 * It learns of a primary's successor from a connection that breaks, or from an answer
 * that says so. A node that is frozen or cut off gives neither, so this is seen here:
 * its keys fail at once, the others are asked who has them now, and once it is another,
 * the Cluster is connected to anew.
 */
export class ClusterLink implements RedisLink {
  readonly #target: RedisTarget;
  readonly #clock: () => number;
  readonly #deadlines: Deadlines;
  readonly #log: RedisLog;
  readonly #followed = new Map<string, OnMessage>();
  /** Nodes that have not answered in time, and until when they are not asked again. */
  readonly #silentUntilMs = new Map<string, number>();
  /** Calls at the start wait for it; later ones fail at once where there is no connection. */
  readonly #firstAttempt: Promise<void>;
  #session: Session;
  #connected = false;
  #isSeeking = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(target: RedisTarget, clock: () => number, log: RedisLog) {
    this.#target = target;
    this.#clock = clock;
    this.#log = log;
    this.#deadlines = new Deadlines(COMMAND_TIMEOUT_MS, clock);
    this.#session = this.#newSession(target.nodes);
    this.#firstAttempt = this.#connect(0);
  }

  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    const key = keys[0]!;
    return this.#bounded(key, ({ calls }) => {
      const send = (command: ScriptArgument[]) => calls.sendCommand(key, false, command, COMMAND_OPTIONS);
      return runScript(send, script, keys, args);
    });
  }

  prove({ script, key, args, replicas }: ProofCall): Promise<Proven> {
    return this.#bounded(key, async (session, owner) => {
      const client = await this.#proofClient(session, owner);
      const send = (command: ScriptArgument[]) => client.sendCommand(command, COMMAND_OPTIONS);
      try {
        const reply = await runScript(send, script, [key], args);
        const needed = replicas(reply);
        const acknowledged =
          needed === 0 ? 0 : Number(await send(["WAIT", String(needed), String(PROOF_ACK_TIMEOUT_MS)]));
        return { reply, acknowledged };
      } catch (error) {
        // Through the library, which learns of a slot that has moved.
        void session.calls.sendCommand(key, false, ["EXISTS", key], COMMAND_OPTIONS).catch(ignore);
        throw error;
      }
    });
  }

  async getValues(keys: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    const values = await this.#asManyAsCanBe(
      keys.map((key) =>
        this.#bounded(key, ({ calls }) => calls.sendCommand(key, false, ["GET", key], COMMAND_OPTIONS)),
      ),
    );
    return (values as readonly (Buffer | null | undefined)[]).map((value) => value ?? undefined);
  }

  async setValues(values: ReadonlyMap<string, Buffer>, ttlMs: number): Promise<void> {
    await this.#asManyAsCanBe(
      [...values].map(([key, value]) => {
        const command = ["SET", key, value, "PX", String(ttlMs)];
        return this.#bounded(key, ({ calls }) => calls.sendCommand(key, false, command, COMMAND_OPTIONS));
      }),
    );
  }

  follow(channel: string, onMessage: OnMessage): void {
    this.#followed.set(channel, onMessage);
    if (this.#connected) this.#subscribe(this.#session, channel, onMessage);
  }

  unfollow(channel: string): void {
    const onMessage = this.#followed.get(channel);
    this.#followed.delete(channel);
    // By its listener: the library then knows that the channel is on its way out, if it is followed again.
    if (this.#connected) void this.#session.calls.sUnsubscribe(channel, onMessage).catch(ignore);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#retry !== undefined) clearTimeout(this.#retry);
    end(this.#session);
  }

  /** Results of calls to several nodes; undefined for those that failed, if not all did. */
  async #asManyAsCanBe(calls: readonly Promise<unknown>[]): Promise<readonly unknown[]> {
    const outcomes = await Promise.allSettled(calls);
    const failed = outcomes.filter((outcome) => outcome.status === "rejected");
    if (failed.length > 0) {
      const trouble = troubleOf(failed[0]!.reason);
      if (failed.length === outcomes.length) throw trouble;
      this.#log.trouble(trouble.kind, `${failed.length} of ${outcomes.length} bodies: ${trouble.message}`);
    }
    return outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : undefined));
  }

  #newSession(rootNodes: readonly RedisNode[]): Session {
    const calls = createCluster(clusterOptions(this.#target, rootNodes)) as Cluster;
    calls.on("error", ignore);
    const subscribe = calls.sSubscribe.bind(calls);
    const session: Session = { calls, subscribe, proofs: new Map() };
    // When a node leaves, the library itself subscribes anew to what was followed there, and leaves it to nobody to
    // catch a failure, which would end the process.
    calls.sSubscribe = async (channel) => {
      const onMessage = this.#followed.get(String(channel));
      if (onMessage !== undefined) this.#subscribe(session, String(channel), onMessage);
    };
    return session;
  }

  #subscribe(session: Session, channel: string, onMessage: OnMessage): void {
    // Meanwhile the log is read every second.
    session.subscribe(channel, onMessage).catch(() => {
      setTimeout(() => {
        if (session === this.#session && this.#followed.has(channel) && !this.#closed)
          this.#subscribe(session, channel, onMessage);
      }, RECONNECT_DELAY_MS_MAX);
    });
  }

  async #bounded<T>(key: string, call: (session: Session, owner: Primary) => Promise<T>): Promise<T> {
    if (!this.#connected) await this.#deadlines.race(this.#firstAttempt);
    const session = this.#session;
    const owner = ownerOf(session.calls, key);
    if (!this.#connected || owner === undefined)
      throw new RedisTrouble("disconnected", "there is no connection to the Cluster");
    const { address } = owner;
    const silentUntilMs = this.#silentUntilMs.get(address);
    if (silentUntilMs !== undefined) {
      const isDue = this.#clock() >= silentUntilMs;
      // One call tries it, the next one may in a while.
      if (isDue) this.#silentUntilMs.set(address, this.#clock() + TRIAL_INTERVAL_MS);
      if (!isDue || !isReady(owner)) {
        if (isDue) {
          this.#tryToConnect(session, owner);
          void this.#seekSuccessor(key, address);
        }
        throw new RedisTrouble("timeout", `${address} does not answer`);
      }
    }
    try {
      const reply = await this.#deadlines.race(this.#onceConnected(session, owner, call));
      this.#silentUntilMs.delete(address);
      return reply;
    } catch (error) {
      if (troubleOf(error).kind === "timeout") {
        dropProofs(session, address);
        this.#silentUntilMs.set(address, this.#clock() + TRIAL_INTERVAL_MS);
        void this.#seekSuccessor(key, address);
      } else this.#silentUntilMs.delete(address);
      throw error;
    }
  }

  /** What nobody waits for any more when the node is there at last is not sent. */
  async #onceConnected<T>(
    session: Session,
    owner: Primary,
    call: (session: Session, owner: Primary) => Promise<T>,
  ): Promise<T> {
    if (!isReady(owner)) {
      const startedMs = this.#clock();
      await session.calls.nodeClient(owner);
      if (this.#clock() - startedMs >= COMMAND_TIMEOUT_MS)
        throw new RedisTrouble("timeout", `${owner.address} was connected to too late`);
    }
    return call(session, owner);
  }

  /** Connects to a silent node, if it can be, while its calls fail at once. */
  #tryToConnect({ calls }: Session, owner: Primary): void {
    if (isReady(owner) || owner.connectPromise !== undefined) return;
    calls.nodeClient(owner).then(() => this.#silentUntilMs.delete(owner.address), ignore);
  }

  async #proofClient(session: Session, owner: Primary): Promise<Client> {
    const { proofs } = session;
    const known = proofs.get(owner.address);
    if (known !== undefined) return known;
    if (session !== this.#session)
      throw new RedisTrouble("disconnected", "the Cluster was connected to anew");
    const options = clientOptions(this.#target, owner);
    const client = createClient({
      ...options,
      socket: { ...options.socket, socketTimeout: SILENCE_MAX_MS, reconnectStrategy: false },
    }) as Client;
    const connecting = client.connect();
    const forget = () => {
      if (proofs.get(owner.address) === connecting) proofs.delete(owner.address);
    };
    client.on("error", forget).on("end", forget);
    connecting.catch(forget);
    proofs.set(owner.address, connecting);
    return connecting;
  }

  async #connect(attempts: number): Promise<void> {
    try {
      await this.#session.calls.connect();
      this.#connected = true;
      this.#begin();
    } catch (error) {
      if (attempts === 0)
        this.#log.disconnected("the Cluster", error instanceof Error ? error.message : String(error));
      if (this.#closed) return;
      this.#retry = setTimeout(() => void this.#connect(attempts + 1), delayMs(attempts));
    }
  }

  #begin(): void {
    const { calls } = this.#session;
    for (const [channel, onMessage] of this.#followed) this.#subscribe(this.#session, channel, onMessage);
    this.#log.connected(`the Cluster's ${calls.masters.length} primaries`);
  }

  /** Connects anew if the key of a silent node is another one's by now. */
  async #seekSuccessor(key: string, silent: string): Promise<void> {
    if (this.#isSeeking || this.#closed) return;
    this.#isSeeking = true;
    // The configured ones too: theirs may be names that will lead to others some day.
    const known = [...this.#session.calls.masters, ...this.#target.nodes];
    const next = this.#newSession(known.filter((node) => addressOf(node) !== silent));
    try {
      // Lazily: only the nodes' places are asked for.
      await this.#deadlines.race(next.calls.connect());
    } catch {
      // Nobody answers: the next call that is not answered tries again.
    }
    this.#isSeeking = false;
    const owner = ownerOf(next.calls, key)?.address;
    if (this.#closed || owner === undefined || owner === silent) {
      end(next);
      return;
    }
    this.#log.disconnected(silent, "no answer");
    end(this.#session);
    this.#session = next;
    this.#silentUntilMs.clear();
    this.#begin();
  }
}

function end(session: Session): void {
  if (session.calls.isOpen) session.calls.destroy();
  for (const address of session.proofs.keys()) dropProofs(session, address);
}

function dropProofs({ proofs }: Session, address: string): void {
  proofs.get(address)?.then((client) => client.destroy(), ignore);
  proofs.delete(address);
}

type Primary = Cluster["masters"][number];

const isReady = ({ client }: Primary): boolean => client?.isReady === true;

/** The primary of a key as far as the library knows. */
function ownerOf(cluster: Cluster, key: string): Primary | undefined {
  return cluster.slots[slotOf(key)]?.master;
}

function clusterOptions(target: RedisTarget, rootNodes: readonly RedisNode[]) {
  return {
    rootNodes: rootNodes.map((node) => clientOptions(target, node)),
    defaults: {
      ...clientDefaults(target),
      socket: { ...socketOptions(target), socketTimeout: SILENCE_MAX_MS, reconnectStrategy: delayMs },
    },
    // A node that is away must not keep us from the others.
    minimizeConnections: true,
    topologyRefreshOnReconnectionAttemptStrategy: RECONNECT_DELAY_MS_MAX,
  };
}

function delayMs(attempts: number): number {
  return Math.min(RECONNECT_DELAY_MS_MIN * 2 ** attempts, RECONNECT_DELAY_MS_MAX);
}

/** A connection on which nothing passes for so long, neither way, is given up. */
const SILENCE_MAX_MS = 3 * COMMAND_TIMEOUT_MS;
/** How often a node that does not answer is tried. */
const TRIAL_INTERVAL_MS = 500;

function ignore(): void {}
