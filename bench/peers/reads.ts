import type { LoadGenerator, LoadResult, LoadSpec } from "./load.js";
import type { Measured } from "./rounds.js";
import { type Peer, SERVER_CORE } from "./servers.js";

/** The servers that a scenario measures. */
export type ServerName = "sidecar" | "other" | "three" | "node" | "redis" | "grpc-js" | "http2";

interface Variant {
  readonly server: ServerName;
  readonly spec: LoadSpec;
  readonly overUnix?: boolean;
}

/** Without pipelining, as many requests are in flight over as many connections. */
const ONE_EACH = { connections: 64, inFlight: 1 };

export const READS: Readonly<Record<string, Variant>> = {
  stream: { server: "sidecar", spec: { workload: "stream" } },
  calls: { server: "sidecar", spec: { workload: "calls" } },
  "other-stream": { server: "other", spec: { workload: "stream" } },
  "other-calls": { server: "other", spec: { workload: "calls" } },
  "three-stream": { server: "three", spec: { workload: "stream" } },
  "node-stream": { server: "node", spec: { workload: "stream" } },
  "node-calls": { server: "node", spec: { workload: "calls" } },
  "node-puts": { server: "node", spec: { workload: "puts", inFlight: 4 } },
  lua: { server: "redis", spec: { workload: "lua" } },
  "lua-plain": { server: "redis", spec: { workload: "lua", ...ONE_EACH } },
  mget: { server: "redis", spec: { workload: "mget" } },
  "two-trips": { server: "redis", spec: { workload: "two-trips" } },
  "grpc-js-stream": { server: "grpc-js", spec: { workload: "fixed-stream" } },
  "grpc-js-calls": { server: "grpc-js", spec: { workload: "fixed-calls" } },
  "http2-stream": { server: "http2", spec: { workload: "fixed-stream" } },
  "http2-calls": { server: "http2", spec: { workload: "fixed-calls" } },
  "stream-unix": { server: "sidecar", spec: { workload: "stream" }, overUnix: true },
  "calls-unix": { server: "sidecar", spec: { workload: "calls" }, overUnix: true },
  "lua-unix": { server: "redis", spec: { workload: "lua" }, overUnix: true },
  puts: { server: "sidecar", spec: { workload: "puts", inFlight: 4 } },
  "other-puts": { server: "other", spec: { workload: "puts", inFlight: 4 } },
  "redis-puts": { server: "redis", spec: { workload: "redis-puts", inFlight: 4 } },
  "fan-out": { server: "sidecar", spec: { workload: "fan-out", connections: 1 } },
  "redis-fan-out": { server: "redis", spec: { workload: "redis-fan-out", connections: 1 } },
};

/** What the sizes of a scenario count. */
export type SizeKey = "ids" | "subscribers" | "batch";

export interface ReadScenario {
  readonly name: string;
  readonly variants: readonly string[];
  readonly sizeKey?: SizeKey;
  /** IDs a read; "mix": the recorded sizes. */
  readonly sizes: readonly string[];
  /** For all variants: homeservers, hits, writes, times. */
  readonly spec: Omit<LoadSpec, "workload">;
  readonly rounds: number;
}

/** Measures each variant at each size, in turns: a round has one measurement of each. */
export async function measureReads(
  scenario: ReadScenario,
  load: LoadGenerator,
  peers: ReadonlyMap<ServerName, Peer>,
  fixedBytes: number,
): Promise<Measured[]> {
  const all: Measured[] = [];
  const run = (name: string, size: string, times: Partial<LoadSpec> = {}) => {
    const { server, spec, overUnix } = READS[name]!;
    const peer = peers.get(server)!;
    return load.run({
      ...scenario.spec,
      ...spec,
      ...times,
      address: overUnix === true ? peer.unixAddress! : peer.address,
      serverPid: peer.pid,
      serverCore: SERVER_CORE,
      [scenario.sizeKey ?? "ids"]: size === "mix" ? 0 : Number(size),
      fixedBytes,
    });
  };
  // Code that was not compiled yet costs several times as much.
  for (const name of scenario.variants)
    await run(name, scenario.sizes.at(-1)!, { warmupMs: 1500, measureMs: 1 });
  for (const size of scenario.sizes) {
    const rounds = scenario.variants.map(() => [] as LoadResult[]);
    for (let round = 0; round < scenario.rounds; round++) {
      for (const [at, name] of scenario.variants.entries()) {
        rounds[at]!.push(await run(name, size));
      }
    }
    for (const [at, variant] of scenario.variants.entries()) {
      all.push({ scenario: scenario.name, variant, size, rounds: rounds[at]! });
    }
  }
  return all;
}
