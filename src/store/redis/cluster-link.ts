import { createCluster } from "@redis/client";
import {
  COMMAND_OPTIONS,
  clientDefaults,
  clientOptions,
  Deadlines,
  runScript,
  socketOptions,
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
import type { RedisTarget } from "./target.js";

type Cluster = ReturnType<typeof createCluster>;

/** The way to a Cluster: the library follows its slots. WAIT would hold calls up, so proofs have connections of their own. */
export class ClusterLink implements RedisLink {
  readonly #calls: Cluster;
  readonly #proofs: Cluster;
  readonly #deadlines: Deadlines;
  readonly #log: RedisLog;
  readonly #slots = new Map<string, number>();
  readonly #followed = new Map<string, OnMessage>();
  /** Calls at the start wait for it; later ones fail at once where there is no connection. */
  readonly #firstAttempt: Promise<void>;
  #connected = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(target: RedisTarget, clock: () => number, log: RedisLog) {
    this.#log = log;
    this.#deadlines = new Deadlines(COMMAND_TIMEOUT_MS, clock, () => {});
    const make = () => {
      const cluster = createCluster(clusterOptions(target)) as Cluster;
      cluster.on("error", ignore);
      return cluster;
    };
    this.#calls = make();
    this.#proofs = make();
    this.#firstAttempt = this.#connect(0);
  }

  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    return this.#bounded(() =>
      runScript(
        (command) => this.#calls.sendCommand(keys[0], false, command, COMMAND_OPTIONS),
        script,
        keys,
        args,
      ),
    );
  }

  prove({ script, key, args, replicas }: ProofCall): Promise<Proven> {
    return this.#bounded(async () => {
      const client = await this.#proofs.nodeClient(this.#proofs.slots[await this.#slotOf(key)]!.master);
      const send = (command: ScriptArgument[]) => client.sendCommand(command, COMMAND_OPTIONS);
      try {
        const reply = await runScript(send, script, [key], args);
        const needed = replicas(reply);
        const acknowledged =
          needed === 0 ? 0 : Number(await send(["WAIT", String(needed), String(PROOF_ACK_TIMEOUT_MS)]));
        return { reply, acknowledged };
      } catch (error) {
        // Through the library, which learns of a slot that has moved.
        void this.#proofs.sendCommand(key, false, ["EXISTS", key], COMMAND_OPTIONS).catch(ignore);
        throw error;
      }
    });
  }

  async getValues(keys: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    const values = await this.#bounded(() =>
      Promise.all(keys.map((key) => this.#calls.sendCommand(key, false, ["GET", key], COMMAND_OPTIONS))),
    );
    return (values as unknown as readonly (Buffer | null)[]).map((value) => value ?? undefined);
  }

  async setValues(values: ReadonlyMap<string, Buffer>, ttlMs: number): Promise<void> {
    await this.#bounded(() =>
      Promise.all(
        [...values].map(([key, value]) =>
          this.#calls.sendCommand(key, false, ["SET", key, value, "PX", String(ttlMs)], COMMAND_OPTIONS),
        ),
      ),
    );
  }

  follow(channel: string, onMessage: OnMessage): void {
    this.#followed.set(channel, onMessage);
    // A message that is lost costs a second: the log is read every second anyway.
    if (this.#connected) void this.#calls.sSubscribe(channel, onMessage).catch(ignore);
  }

  unfollow(channel: string): void {
    this.#followed.delete(channel);
    if (this.#connected) void this.#calls.sUnsubscribe(channel).catch(ignore);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#retry !== undefined) clearTimeout(this.#retry);
    for (const cluster of [this.#calls, this.#proofs]) if (cluster.isOpen) cluster.destroy();
  }

  #bounded<T>(call: () => Promise<T>): Promise<T> {
    return this.#deadlines.race(this.#connected ? call() : this.#firstAttempt.then(() => this.#call(call)));
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (!this.#connected) throw new RedisTrouble("disconnected", "there is no connection to the Cluster");
    return call();
  }

  async #connect(attempts: number): Promise<void> {
    try {
      await Promise.all(
        [this.#calls, this.#proofs].map((cluster) => (cluster.isOpen ? undefined : cluster.connect())),
      );
      this.#connected = true;
      for (const [channel, onMessage] of this.#followed) {
        void this.#calls.sSubscribe(channel, onMessage).catch(ignore);
      }
      this.#log.connected(`the Cluster's ${this.#calls.masters.length} primaries`);
    } catch (error) {
      if (attempts === 0)
        this.#log.disconnected("the Cluster", error instanceof Error ? error.message : String(error));
      if (this.#closed) return;
      this.#retry = setTimeout(() => void this.#connect(attempts + 1), delayMs(attempts));
    }
  }

  async #slotOf(key: string): Promise<number> {
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = Number(
      await this.#proofs.sendCommand(key, true, ["CLUSTER", "KEYSLOT", key], COMMAND_OPTIONS),
    );
    if (this.#slots.size >= SLOTS_KNOWN_MAX) this.#slots.clear();
    this.#slots.set(key, slot);
    return slot;
  }
}

function clusterOptions(target: RedisTarget) {
  return {
    rootNodes: target.nodes.map((node) => clientOptions(target, node)),
    defaults: {
      ...clientDefaults(target),
      socket: { ...socketOptions(target), socketTimeout: SILENCE_MAX_MS, reconnectStrategy: delayMs },
    },
    topologyRefreshOnReconnectionAttemptStrategy: RECONNECT_DELAY_MS_MAX,
  };
}

function delayMs(attempts: number): number {
  return Math.min(RECONNECT_DELAY_MS_MIN * 2 ** attempts, RECONNECT_DELAY_MS_MAX);
}

/** A node that is silent for so long, though it is pinged, is given up. */
const SILENCE_MAX_MS = 3 * COMMAND_TIMEOUT_MS;
/** Slots that are remembered: one a homeserver that is in use. */
const SLOTS_KNOWN_MAX = 10_000;

function ignore(): void {}
