import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "vitest";
import { NO_CREDENTIALS, type RedisTarget } from "../../../src/tier/redis/target.js";
import { eventually } from "../eventually.js";
import { RedisProcess } from "../redis/processes.js";

/** Servers as operators arrange them. */
export interface Topology {
  readonly target: RedisTarget;
  readonly servers: readonly RedisProcess[];
  /** The servers that the target names: the Sentinels, or those above. */
  readonly sentinels: readonly RedisProcess[];
  /** The servers that take writes at this moment. */
  primaries(): Promise<readonly RedisProcess[]>;
  stop(): Promise<void>;
}

export function targetOf(topology: RedisTarget["topology"], ports: readonly number[]): RedisTarget {
  return {
    topology,
    nodes: ports.map((port) => ({ host: "127.0.0.1", port })),
    primaryName: "primary",
    database: 0,
    tls: false,
    ...NO_CREDENTIALS,
  };
}

/** One server. */
export async function startSingle(args: readonly string[] = []): Promise<Topology> {
  const redis = await RedisProcess.start(args);
  return topologyOf("single", [redis], [redis]);
}

/** A primary with one replica, and three Sentinels that watch them. */
export function startSentinel(): Promise<Topology> {
  return orStop(async (start) => {
    const primary = await start();
    const replica = await start({ config: () => `replicaof 127.0.0.1 ${primary.port}\n` });
    const config = () =>
      [
        `sentinel monitor primary 127.0.0.1 ${primary.port} 2`,
        "sentinel down-after-milliseconds primary 1000",
        "sentinel failover-timeout primary 3000",
      ].join("\n");
    const sentinels: RedisProcess[] = [];
    for (let n = 0; n < 3; n++) sentinels.push(await start({ sentinel: true, config }));
    await eventually(async () => {
      for (const sentinel of sentinels) {
        expect(await sentinel.command("SENTINEL", "SENTINELS", "primary")).toHaveLength(2);
        expect(await sentinel.command("SENTINEL", "REPLICAS", "primary")).toHaveLength(1);
      }
      expect(await primary.command("INFO", "replication")).toContain("state=online");
    });
    return topologyOf("sentinel", sentinels, [primary, replica]);
  });
}

/** A Cluster of three primaries with a replica each. */
export function startCluster(): Promise<Topology> {
  return orStop(async (start) => {
    const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500"];
    const servers = await Promise.all(Array.from({ length: 6 }, () => start({}, args)));
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    await promisify(execFile)("redis-cli", [
      ...["--cluster", "create", ...addresses],
      ...["--cluster-replicas", "1", "--cluster-yes"],
    ]);
    const topology = topologyOf("cluster", servers, servers);
    await eventually(async () => {
      for (const server of servers)
        expect(await server.command("CLUSTER", "INFO")).toContain("cluster_state:ok");
      const primaries = await topology.primaries();
      expect(primaries).toHaveLength(3);
      for (const primary of primaries)
        expect(await primary.command("INFO", "replication")).toContain("state=online");
    });
    return topology;
  });
}

function topologyOf(
  kind: RedisTarget["topology"],
  asked: readonly RedisProcess[],
  data: readonly RedisProcess[],
): Topology {
  return {
    target: targetOf(
      kind,
      asked.map(({ port }) => port),
    ),
    servers: data,
    sentinels: asked,
    primaries: async () => {
      const roles = await Promise.all(
        data.map((server) => server.command<[string]>("ROLE").catch(() => [""])),
      );
      return data.filter((_, at) => roles[at]![0] === "master");
    },
    stop: async () => {
      for (const server of new Set([...asked, ...data])) await server.stop();
    },
  };
}

type Options = NonNullable<Parameters<typeof RedisProcess.start>[1]>;
type Start = (options?: Options, args?: readonly string[]) => Promise<RedisProcess>;

/** Arranges servers; if that fails, none is left. */
async function orStop(arrange: (start: Start) => Promise<Topology>): Promise<Topology> {
  const started: RedisProcess[] = [];
  const start: Start = async (options = {}, args = []) => {
    const server = await RedisProcess.start(args, options);
    started.push(server);
    return server;
  };
  try {
    return await arrange(start);
  } catch (error) {
    for (const server of started) await server.stop();
    throw error;
  }
}
