import { readFileSync } from "node:fs";
import type { LoadGenerator, LoadResult } from "../peers/load.js";
import { measureReads } from "../peers/reads.js";
import type { Measured } from "../peers/rounds.js";
import { type Peer, SERVER_CORE, startRedisPeer, startSidecarPeer } from "../peers/servers.js";
import type { Plan } from "./plan.js";
import type { Single } from "./record.js";

const SMALL_EVENTS = 1000;
const TAIL_RATE = 1000;
const MIB = 2 ** 20;
/** The heap gives back what a fill left within this time. */
const REST_MS = 3000;

/** Memory, reads and the slowest reads with a million events in the cache. */
export async function measureMillion(
  plan: Plan,
  load: LoadGenerator,
  node: string,
): Promise<{ measured: Measured[]; singles: Single[] }> {
  const events = plan.millionEvents;
  const sidecar = await startSidecarPeer({ memory: "12GiB", node });
  const redis = await startRedisPeer();
  const small = await startSidecarPeer({ memory: "64MiB", node });
  try {
    const singles = await measureMemory(load, sidecar, redis, events);
    const scenario = {
      name: `${events.toLocaleString("en")} events`,
      variants: ["stream", "lua"],
      sizes: ["1", "10", "100", "mix"],
      spec: { events, warmupMs: 300, measureMs: Math.min(2000, plan.tailMs) },
      rounds: plan.rounds,
    };
    const peers = new Map([
      ["sidecar", sidecar],
      ["redis", redis],
    ] as const);
    const measured = await measureReads(scenario, load, peers, 1);
    await load.run({ workload: "fill-sidecar", address: small.address, events: SMALL_EVENTS });
    measured.push(...(await measureTail(plan, load, sidecar, small)));
    return { measured, singles };
  } finally {
    for (const peer of [sidecar, redis, small]) await peer.stop();
  }
}

async function measureMemory(
  load: LoadGenerator,
  sidecar: Peer,
  redis: Peer,
  events: number,
): Promise<Single[]> {
  const singles: Single[] = [];
  for (const [name, peer, workload] of [
    ["sidecar", sidecar, "fill-sidecar"],
    ["Redis", redis, "fill-redis"],
  ] as const) {
    let before = 0;
    for (const [homeserver, label] of ["first", "further"].entries()) {
      await load.run({
        ...{ workload, address: peer.address, events },
        ...{ firstHomeserver: homeserver, homeservers: homeserver + 1 },
      });
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
      const resident = residentMib(peer.pid);
      singles.push({
        name: `memory of the ${label} homeserver, ${name}`,
        unit: "MiB",
        values: [resident - before],
      });
      before = resident;
    }
  }
  return singles;
}

/** The slowest reads of 10 IDs, at a fixed rate below what the server can do, with 5 % writes. */
async function measureTail(plan: Plan, load: LoadGenerator, large: Peer, small: Peer): Promise<Measured[]> {
  const many: LoadResult[] = [];
  const few: LoadResult[] = [];
  const slowest = (peer: Peer, events: number) =>
    load.run({
      ...{ workload: "stream", address: peer.address, serverPid: peer.pid, serverCore: SERVER_CORE },
      ...{ ids: 10, events, writeShare: 0.05, rate: TAIL_RATE, warmupMs: 500, measureMs: plan.tailMs },
    });
  for (let round = 0; round < plan.rounds; round++) {
    many.push(await slowest(large, plan.millionEvents));
    few.push(await slowest(small, SMALL_EVENTS));
  }
  const scenario = "slowest reads";
  return [
    { scenario, variant: "many entries", size: "10", rounds: many },
    { scenario, variant: "1,000 entries", size: "10", rounds: few },
  ];
}

export function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / MIB;
}
