import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "vitest";
import { ClusterLink } from "../../../src/store/redis/cluster-link.js";
import { PrimaryLink } from "../../../src/store/redis/primary-link.js";
import { eventually } from "../eventually.js";
import { RedisProcess } from "./processes.js";
import { type RedisUnderTest, targetOf } from "./redis-harness.js";

/** Servers as operators arrange them, and what a test does to them. */
export interface Topology extends RedisUnderTest {
  readonly servers: readonly RedisProcess[];
  stop(): Promise<void>;
}

/** One server. */
export async function startSingle(args: readonly string[] = []): Promise<Topology> {
  const redis = await RedisProcess.start(args);
  return {
    servers: [redis],
    connect: (clock, log) => new PrimaryLink(targetOf("single", [redis.port]), clock, log),
    command: (_key, ...args) => redis.command(...args),
    keys: (prefix) => redis.command("KEYS", `${prefix}*`),
    stop: () => redis.stop(),
  };
}

export interface SentinelTopology extends Topology {
  /** The server that the Sentinels name. */
  primary(): Promise<RedisProcess>;
}

/** A primary with two replicas, and three Sentinels that watch them: the servers are in this order. */
export function startSentinel(): Promise<SentinelTopology> {
  return orStop(arrangeSentinel);
}

async function arrangeSentinel(started: RedisProcess[]): Promise<SentinelTopology> {
  const start = startInto(started);
  const primary = await start(REPLICATION);
  // In the file, where Sentinels change it: one that they made primary is still that when it starts again.
  const replicaOf = { config: () => `replicaof 127.0.0.1 ${primary.port}\n` };
  const replicas = await Promise.all([1, 2].map(() => start(REPLICATION, replicaOf)));
  const config = () =>
    [
      `sentinel monitor primary 127.0.0.1 ${primary.port} 2`,
      "sentinel down-after-milliseconds primary 1000",
      "sentinel failover-timeout primary 3000",
      "sentinel parallel-syncs primary 2",
    ].join("\n");
  const sentinels: RedisProcess[] = [];
  for (let n = 0; n < 3; n++) sentinels.push(await start([], { sentinel: true, config }));
  await eventually(() => expectFollowed(primary, 2));
  await eventually(async () => {
    for (const sentinel of sentinels) {
      expect(await sentinel.command("SENTINEL", "SENTINELS", "primary")).toHaveLength(2);
      expect(await sentinel.command("SENTINEL", "REPLICAS", "primary")).toHaveLength(2);
    }
  });
  const servers = [primary, ...replicas];
  const target = targetOf(
    "sentinel",
    sentinels.map(({ port }) => port),
  );
  const primaryNow = async () => {
    for (const sentinel of sentinels) {
      const [, port] = await sentinel.command<string[]>("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "primary");
      const found = servers.find((server) => server.port === Number(port));
      if (found !== undefined) return found;
    }
    throw new Error("the Sentinels name no server of ours");
  };
  return {
    servers: [...servers, ...sentinels],
    primary: primaryNow,
    connect: (clock, log) => new PrimaryLink(target, clock, log),
    command: async (_key, ...args) => (await primaryNow()).command(...args),
    keys: async (prefix) => (await primaryNow()).command("KEYS", `${prefix}*`),
    stop: async () => {
      for (const server of [...sentinels, ...servers]) await server.stop();
    },
  };
}

/** A Cluster of three primaries with a replica each. */
export function startCluster(): Promise<Topology> {
  return orStop(arrangeCluster);
}

async function arrangeCluster(started: RedisProcess[]): Promise<Topology> {
  const start = startInto(started);
  const clustered = [...REPLICATION, "--cluster-enabled", "yes", "--cluster-node-timeout", "1500"];
  const servers = await Promise.all(Array.from({ length: 6 }, () => start(clustered)));
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  await promisify(execFile)("redis-cli", [
    ...["--cluster", "create", ...addresses],
    ...["--cluster-replicas", "1", "--cluster-yes"],
  ]);
  for (const server of servers) {
    await eventually(async () => {
      expect(await server.command("CLUSTER", "INFO")).toContain("cluster_state:ok");
    });
  }
  const primaries = async () => {
    const found: RedisProcess[] = [];
    for (const server of servers) {
      const [role] = await server.command<[string]>("ROLE").catch(() => [""]);
      if (role === "master") found.push(server);
    }
    return found;
  };
  await eventually(async () => {
    const found = await primaries();
    expect(found).toHaveLength(3);
    await Promise.all(found.map((primary) => expectFollowed(primary, 1)));
  });
  return {
    servers,
    connect: (clock, log) =>
      new ClusterLink(
        targetOf(
          "cluster",
          servers.map(({ port }) => port),
        ),
        clock,
        log,
      ),
    command: async (key, ...args) => {
      const slot = await servers[0]!.command<number>("CLUSTER", "KEYSLOT", key);
      for (const server of await primaries()) {
        const slots = await server.command<[number, number, [string, number]][]>("CLUSTER", "SLOTS");
        const owner = slots.find(([from, to]) => from <= slot && slot <= to)![2][1];
        if (owner === server.port) return server.command(...args);
      }
      throw new Error(`no server has slot ${slot}`);
    },
    keys: async (prefix) =>
      (
        await Promise.all((await primaries()).map((server) => server.command<string[]>("KEYS", `${prefix}*`)))
      ).flat(),
    stop: async () => {
      for (const server of servers) await server.stop();
    },
  };
}

/** Starts servers, and remembers them. */
function startInto(started: RedisProcess[]) {
  return async (...options: Parameters<typeof RedisProcess.start>): Promise<RedisProcess> => {
    const server = await RedisProcess.start(...options);
    started.push(server);
    return server;
  };
}

/** Arranges servers; if that fails, none is left. */
async function orStop<T>(arrange: (started: RedisProcess[]) => Promise<T>): Promise<T> {
  const started: RedisProcess[] = [];
  try {
    return await arrange(started);
  } catch (error) {
    for (const server of started) await server.stop();
    throw error;
  }
}

/**
 * That so many replicas follow a server, and acknowledge for half a second on end: while
 * they settle, a WAIT now and then goes unanswered.
 */
export async function expectFollowed(server: RedisProcess, replicas: number): Promise<void> {
  const info = await server.command<string>("INFO", "replication");
  expect(info.split("state=online").length - 1).toBe(replicas);
  for (let times = 0; times < 10; times++) {
    await writeAnything(server);
    expect(await server.command("WAIT", String(replicas), "100")).toBe(replicas);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Writes some key that the server has, of those that a Cluster may have given to others. */
async function writeAnything(server: RedisProcess, attempt = 0): Promise<void> {
  try {
    await server.command("SET", `settling-${attempt}`, "", "PX", "1000");
  } catch (error) {
    if (attempt > 100 || !String(error).includes("MOVED")) throw error;
    await writeAnything(server, attempt + 1);
  }
}

const REPLICATION = ["--repl-timeout", "60", "--repl-diskless-sync", "yes"];
