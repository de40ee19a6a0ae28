import type { LoadGenerator, LoadResult, LoadSpec } from "./load.js";
import type { Measured } from "./rounds.js";
import { type Peer, SERVER_CORE } from "./servers.js";

/** The servers that a scenario measures. */
export type ServerName = "sidecar" | "other" | "redis" | "grpc-js" | "http2";

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
};

export interface ReadScenario {
  readonly name: string;
  readonly variants: readonly string[];
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
  for (const size of scenario.sizes) {
    const rounds = scenario.variants.map(() => [] as LoadResult[]);
    for (let round = 0; round < scenario.rounds; round++) {
      for (const [at, name] of scenario.variants.entries()) {
        const { server, spec, overUnix } = READS[name]!;
        const peer = peers.get(server)!;
        rounds[at]!.push(
          await load.run({
            ...scenario.spec,
            ...spec,
            address: overUnix === true ? peer.unixAddress! : peer.address,
            serverPid: peer.pid,
            serverCore: SERVER_CORE,
            ids: size === "mix" ? 0 : Number(size),
            fixedBytes,
          }),
        );
      }
    }
    for (const [at, variant] of scenario.variants.entries()) {
      all.push({ scenario: scenario.name, variant, size, rounds: rounds[at]! });
    }
  }
  return all;
}
