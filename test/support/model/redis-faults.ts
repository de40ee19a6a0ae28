import type { RedisLink } from "../../../src/store/redis/link.js";
import type { RedisProcess } from "../redis/processes.js";

/** Servers beneath a model test, and what can befall them. */
export interface Arrangement {
  /** The way of one of the sidecars to them. */
  connect(sidecar: number): RedisLink;
  /** What docs/redis.md recommends here; without it a primary must be seen with its replicas before it loses them. */
  readonly replicasMin: number;
  /** Sends a command to whichever takes writes for the key; nothing happens where none does. */
  command(key: string, ...args: string[]): Promise<unknown>;
  readonly faults: Faults;
  /** Ends what faults have left behind: as it was at the start, but for data. */
  mend(): Promise<void>;
  stop(): Promise<void>;
}

/** What can happen, by name. It has begun when the promise resolves, and may go on meanwhile. */
export type Faults = Readonly<Record<string, (scene: Scene) => Promise<void>>>;

export interface Scene {
  /** Picks what is hit, and for how long. */
  readonly at: number;
  /** What the keys of this run begin with. */
  readonly prefix: string;
}

/** Longer than proofs live in a model test. */
export const FAULT_MS = 150;

const POLICIES = [
  "noeviction",
  "allkeys-lru",
  "allkeys-lfu",
  "allkeys-random",
  "volatile-lru",
  "volatile-lfu",
  "volatile-random",
  "volatile-ttl",
];

/** What can befall any server; `servers` are those that take writes now. */
export function commonFaults(servers: () => readonly RedisProcess[], later: Later): Faults {
  const one = (at: number) => servers()[at % servers().length]!;
  /** Undefined where it cannot be done: the server is gone, or its slot has moved. */
  const ask = <T = unknown>(server: RedisProcess, ...args: string[]): Promise<T | undefined> =>
    server.command<T>(...args).catch(() => undefined);
  const deleteOne = async (pattern: string, at: number) => {
    for (const server of servers()) {
      const keys = (await ask<string[]>(server, "KEYS", pattern)) ?? [];
      const own = keys.filter((key) => !key.endsWith(":clock")).sort();
      if (own.length > 0) await ask(server, "DEL", own[at % own.length]!);
    }
  };
  return {
    "loses everything": async ({ at }) => void (await ask(one(at), "FLUSHALL")),
    "forgets its scripts": async ({ at }) => void (await ask(one(at), "SCRIPT", "FLUSH")),
    "evicts a key": ({ at, prefix }) => deleteOne(`${prefix}*`, at),
    "evicts a homeserver's own keys": ({ at, prefix }) => deleteOne(`${prefix}*}:[slf]*`, at),
    "has its log trimmed": async ({ at, prefix }) => {
      for (const server of servers()) {
        const logs = (await ask<string[]>(server, "KEYS", `${prefix}*:log`)) ?? [];
        for (const log of logs) await ask(server, "XTRIM", log, "MAXLEN", String(at % 3));
      }
    },
    "is short of memory": async ({ at }) => {
      const server = one(at);
      const used = /used_memory:(\d+)/.exec((await ask<string>(server, "INFO", "memory")) ?? "")?.[1];
      const policy = POLICIES[at % POLICIES.length]!;
      const max = Number(used ?? 0) - (at % 5) * 2000;
      await ask(server, "CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", String(max));
      later(FAULT_MS, async () => void (await ask(server, "CONFIG", "SET", "maxmemory", "0")));
    },
    "stands still": async ({ at }) => {
      const server = one(at);
      server.signal("SIGSTOP");
      later(FAULT_MS, async () => server.signal("SIGCONT"));
    },
  };
}

/** Lets something happen in a while. */
export type Later = (ms: number, act: () => Promise<void>) => void;

/** What is to happen in a while, and whether it has. */
export class Pending {
  #all: Promise<void> = Promise.resolve();

  readonly later: Later = (ms, act) => {
    const before = this.#all;
    this.#all = new Promise<void>((resolve) => setTimeout(resolve, ms)).then(act).then(() => before);
    this.#all.catch(() => {});
  };

  /** Stops the servers, whatever has become of it. */
  async end(stop: () => Promise<unknown>): Promise<void> {
    try {
      await this.over();
    } finally {
      await stop();
    }
  }

  /** Fails if anything of it has. */
  async over(): Promise<void> {
    const all = this.#all;
    this.#all = Promise.resolve();
    await all;
  }
}
