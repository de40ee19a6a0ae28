import type { ReadScenario, ServerName } from "../peers/reads.js";

/** Scenarios that share their servers, and what the servers hold. */
export interface Group {
  readonly events: number;
  readonly homeservers: number;
  readonly scenarios: readonly ReadScenario[];
}

/** How long and how large a run is. */
export interface Plan {
  readonly rounds: number;
  readonly groups: readonly Group[];
  readonly millionEvents: number;
  readonly tailMs: number;
  readonly maxEvents: number;
}

const SIDECAR_AND_LUA = ["stream", "lua"];
const PEERS = [
  ...["stream", "calls", "stream-unix", "calls-unix"],
  ...["lua", "lua-plain", "lua-unix", "mget", "two-trips"],
  ...["grpc-js-stream", "grpc-js-calls", "http2-stream", "http2-calls"],
];

/** The whole comparison, or its short form. */
export function makePlan(isShort: boolean, hasOtherNode: boolean): Plan {
  const rounds = isShort ? 3 : 5;
  const events = isShort ? 20_000 : 100_000;
  const millionEvents = isShort ? 50_000 : 1_000_000;
  const times = isShort ? { warmupMs: 200, measureMs: 500 } : { warmupMs: 700, measureMs: 2000 };
  const scenario = (
    name: string,
    variants: readonly string[],
    sizes: readonly string[],
    more: Partial<ReadScenario> = {},
  ): ReadScenario => ({ name, variants, sizes, rounds, ...more, spec: { ...times, ...more.spec } });
  const sizes = ["1", "10", "100", ...(isShort ? [] : ["500"]), "mix"];
  const peers = isShort ? PEERS.filter((name) => !/unix|http2|plain/.test(name)) : PEERS;
  const one: ReadScenario[] = [
    scenario("reads", peers, sizes),
    scenario("90 % hits", SIDECAR_AND_LUA, ["10", "mix"], { spec: { hitShare: 0.9 } }),
    scenario("5 % writes", SIDECAR_AND_LUA, ["10", "mix"], { spec: { writeShare: 0.05 } }),
    scenario("puts", ["puts", "redis-puts"], ["100"], { sizeKey: "batch" }),
    scenario("fan-out", ["fan-out", "redis-fan-out"], ["0", "20", "100", "500"], { sizeKey: "subscribers" }),
    scenario("fan-out, 50 a second", ["fan-out", "redis-fan-out"], ["100"], {
      sizeKey: "subscribers",
      spec: { rate: 50, measureMs: isShort ? 2000 : 5000 },
    }),
  ];
  if (hasOtherNode)
    one.push(
      scenario(
        "nodes",
        ["stream", "node-stream", "calls", "node-calls", "puts", "node-puts"],
        ["1", "10", "100", "mix"],
      ),
    );
  const groups: Group[] = [
    { events, homeservers: 1, scenarios: one },
    {
      events: isShort ? 5000 : 20_000,
      homeservers: 20,
      scenarios: [scenario("20 homeservers", SIDECAR_AND_LUA, ["10", "mix"])],
    },
    {
      events: Math.min(events, 20_000),
      homeservers: 1,
      scenarios: [scenario("one of three over PostgreSQL", ["stream", "three-stream"], ["10", "mix"])],
    },
  ];
  return {
    rounds,
    groups,
    millionEvents,
    tailMs: isShort ? 2000 : 20_000,
    maxEvents: Math.max(events, millionEvents),
  };
}

/** The servers that scenarios need. */
export function serversOf(group: Group, serverOf: (variant: string) => ServerName): Set<ServerName> {
  return new Set(group.scenarios.flatMap(({ variants }) => variants.map(serverOf)));
}
