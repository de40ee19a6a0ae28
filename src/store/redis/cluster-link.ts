import { createCluster } from "@redis/client";
import slotOf from "cluster-key-slot";
import {
  COMMAND_OPTIONS,
  clientDefaults,
  clientOptions,
  Deadlines,
  ignore,
  joined,
  PendingBytes,
  prove,
  runScript,
  type SendCommand,
  socketOptions,
  troubleOf,
} from "./client-library.js";
import { ClusterChannels } from "./cluster-channels.js";
import {
  type OnMessage,
  type ProofCall,
  type Proven,
  type RedisLink,
  type RedisLog,
  RedisTrouble,
  type ScriptArgument,
} from "./link.js";
import { NodeConnections, SILENCE_MAX_MS } from "./node-connections.js";
import { COMMAND_TIMEOUT_MS, RECONNECT_DELAY_MS_MAX, RECONNECT_DELAY_MS_MIN } from "./redis-limits.js";
import type { Script } from "./scripts.js";
import { addressOf, type RedisNode, type RedisTarget } from "./target.js";

type Cluster = ReturnType<typeof createCluster>;

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
  readonly #pending = new PendingBytes();
  readonly #log: RedisLog;
  /** Connections of their own, since WAIT holds up what comes after it. */
  readonly #proofs: NodeConnections;
  readonly #channels: ClusterChannels;
  readonly #watch: NodeJS.Timeout;
  /** Nodes that have not answered in time, and until when they are not asked again. */
  readonly #silentUntilMs = new Map<string, number>();
  /** Calls at the start wait for it; later ones fail at once where there is no connection. */
  readonly #firstAttempt: Promise<void>;
  #cluster: Cluster;
  #connected = false;
  /** Why it is not connected. */
  #away = new RedisTrouble("disconnected", "there is no connection to the Cluster yet");
  /** What the nodes that were asked for the slots said last, of those that gave none. */
  readonly #refusals = new Map<string, RedisTrouble>();
  #isSeeking = false;
  /** From when on it is asked again who has a slot that was nobody's. */
  #seekSlotsAgainMs = Number.NEGATIVE_INFINITY;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(target: RedisTarget, clock: () => number, log: RedisLog) {
    this.#target = target;
    this.#clock = clock;
    this.#log = log;
    this.#deadlines = new Deadlines(COMMAND_TIMEOUT_MS, clock);
    this.#cluster = this.#newCluster(target.nodes);
    this.#proofs = new NodeConnections(target);
    const ownerNow = (channel: string) => (this.#connected ? ownerOf(this.#cluster, channel) : undefined);
    this.#channels = new ClusterChannels(target, ownerNow, this.#deadlines, log);
    this.#firstAttempt = this.#connect(0);
    this.#watch = setInterval(() => this.#channels.refresh(), COMMAND_TIMEOUT_MS);
    this.#watch.unref();
  }

  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    const key = keys[0]!;
    return this.#bounded(key, (cluster) => runScript(sender(cluster, key), script, keys, args));
  }

  prove(call: ProofCall): Promise<Proven> {
    const { key } = call;
    return this.#bounded(key, async (cluster, owner) => {
      const client = await this.#proofs.to(owner);
      try {
        return await prove((command) => client.sendCommand(command, COMMAND_OPTIONS), call);
      } catch (error) {
        // Through the library, which learns of a slot that has moved.
        void cluster.sendCommand(key, false, ["EXISTS", key], COMMAND_OPTIONS).catch(ignore);
        throw error;
      }
    });
  }

  async getValues(keys: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    const values = await this.#asManyAsCanBe(
      keys.map((key) => this.#bounded(key, (cluster) => sender(cluster, key)(["GET", key]))),
    );
    return (values as readonly (Buffer | null | undefined)[]).map((value) => value ?? undefined);
  }

  async setValues(values: ReadonlyMap<string, Buffer>, ttlMs: number): Promise<void> {
    await this.#asManyAsCanBe(
      [...values].map(([key, value]) => {
        const command = ["SET", key, value, "PX", String(ttlMs)];
        return this.#bounded(key, (cluster) => this.#pending.bound(sender(cluster, key))(command));
      }),
    );
  }

  follow(channel: string, onMessage: OnMessage): void {
    this.#channels.follow(channel, onMessage);
  }

  unfollow(channel: string): void {
    this.#channels.unfollow(channel);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    if (this.#retry !== undefined) clearTimeout(this.#retry);
    this.#channels.close();
    this.#proofs.close();
    end(this.#cluster);
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

  #newCluster(rootNodes: readonly RedisNode[]): Cluster {
    const cluster = createCluster(clusterOptions(this.#target, rootNodes)) as Cluster;
    // One for each node that does not tell the slots; which node it was, the library does not say.
    cluster.on("error", (error: unknown) => {
      const trouble = troubleOf(error);
      if (this.#refusals.size < REFUSALS_MAX) this.#refusals.set(trouble.message, trouble);
    });
    return cluster;
  }

  async #bounded<T>(key: string, call: CallAtOwner<T>): Promise<T> {
    if (!this.#connected) await this.#deadlines.race(this.#firstAttempt);
    if (!this.#connected) throw this.#away;
    const cluster = this.#cluster;
    const owner = ownerOf(cluster, key);
    if (owner === undefined) {
      if (this.#clock() >= this.#seekSlotsAgainMs) {
        this.#seekSlotsAgainMs = this.#clock() + SLOTS_INTERVAL_MS;
        void this.#seekOwner(key);
      }
      throw new RedisTrouble("moving", "no node of the Cluster has the slot");
    }
    const { address } = owner;
    const silentUntilMs = this.#silentUntilMs.get(address);
    if (silentUntilMs !== undefined) {
      const isDue = this.#clock() >= silentUntilMs;
      // One call tries it, the next one may in a while.
      if (isDue) this.#silentUntilMs.set(address, this.#clock() + TRIAL_INTERVAL_MS);
      if (!isDue || !isReady(owner)) {
        if (isDue) {
          this.#tryToConnect(cluster, owner);
          void this.#seekOwner(key, address);
        }
        throw new RedisTrouble("timeout", `${address} does not answer`);
      }
    }
    try {
      const reply = await this.#deadlines.race(this.#onceConnected(cluster, owner, call));
      this.#silentUntilMs.delete(address);
      return reply;
    } catch (error) {
      if (troubleOf(error).kind === "timeout") {
        this.#proofs.drop(address);
        this.#silentUntilMs.set(address, this.#clock() + TRIAL_INTERVAL_MS);
        void this.#seekOwner(key, address);
      } else if (troubleOf(error).kind !== "overload") this.#silentUntilMs.delete(address);
      throw error;
    }
  }

  /** What nobody waits for any more when the node is there at last is not sent. */
  async #onceConnected<T>(cluster: Cluster, owner: Primary, call: CallAtOwner<T>): Promise<T> {
    if (!isReady(owner)) {
      const startedMs = this.#clock();
      await cluster.nodeClient(owner);
      if (this.#clock() - startedMs >= COMMAND_TIMEOUT_MS)
        throw new RedisTrouble("timeout", `${owner.address} was connected to too late`);
    }
    return call(cluster, owner);
  }

  /** Connects to a silent node, if it can be, while its calls fail at once. */
  #tryToConnect(cluster: Cluster, owner: Primary): void {
    if (isReady(owner) || owner.connectPromise !== undefined) return;
    cluster.nodeClient(owner).then(() => this.#silentUntilMs.delete(owner.address), ignore);
  }

  async #connect(attempts: number): Promise<void> {
    this.#refusals.clear();
    try {
      await this.#cluster.connect();
      if (this.#closed) return;
      if (this.#cluster.masters.length === 0) throw new RedisTrouble("moving", "no node has any slot yet");
      this.#connected = true;
      this.#begin();
    } catch (error) {
      const { kind, message } =
        this.#refusals.size === 0 ? troubleOf(error) : joined([...this.#refusals.values()]);
      const nodes = this.#target.nodes.map(addressOf).join(",");
      this.#away = new RedisTrouble(kind, `no connection to the Cluster at ${nodes}: ${message}`, error);
      if (this.#closed) return;
      end(this.#cluster);
      this.#cluster = this.#newCluster(this.#target.nodes);
      this.#retry = setTimeout(() => void this.#connect(attempts + 1), delayMs(attempts));
    }
  }

  #begin(): void {
    this.#channels.refresh();
    this.#log.connected(`the Cluster's ${this.#cluster.masters.length} primaries`);
  }

  /** Connects anew if the key of a silent node is another one's by now, or one that was nobody's has a node. */
  async #seekOwner(key: string, silent?: string): Promise<void> {
    if (this.#isSeeking || this.#closed) return;
    this.#isSeeking = true;
    // The configured ones too: theirs may be names that will lead to others some day.
    const known = [...this.#cluster.masters, ...this.#target.nodes];
    const next = this.#newCluster(known.filter(({ host, port }) => `${host}:${port}` !== silent));
    try {
      // Lazily: only the nodes' places are asked for.
      await this.#deadlines.race(next.connect());
    } catch {
      // Nobody answers: the next call that is not answered tries again.
    }
    this.#isSeeking = false;
    const owner = ownerOf(next, key)?.address;
    if (this.#closed || owner === undefined || owner === silent) {
      end(next);
      return;
    }
    if (silent !== undefined) this.#log.disconnected(silent, "no answer");
    end(this.#cluster);
    this.#cluster = next;
    this.#proofs.dropAll();
    this.#channels.dropAll();
    this.#silentUntilMs.clear();
    this.#begin();
  }
}

const sender =
  (cluster: Cluster, key: string): SendCommand =>
  (command) =>
    cluster.sendCommand(key, false, command, COMMAND_OPTIONS);

function end(cluster: Cluster): void {
  if (cluster.isOpen) cluster.destroy();
}

type Primary = Cluster["masters"][number];

type CallAtOwner<T> = (cluster: Cluster, owner: Primary) => Promise<T>;

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

/** Reasons that are told of one attempt to connect. */
const REFUSALS_MAX = 4;
/** How often it is asked who has a slot that is nobody's: seldom, so that a silent node's successor is sought between. */
const SLOTS_INTERVAL_MS = 2000;
/** How often a node that does not answer is tried. */
const TRIAL_INTERVAL_MS = 500;
