/**
 * Reads of a sidecar against Redis and against fixed replies: CPU a request of the server, on a
 * core of its own. bench/README.md describes the options. Needs go, redis-server and taskset.
 */
import { parseArgs } from "node:util";
import { type CorpusDescription, LoadGenerator } from "./peers/load.js";
import { measureReads, READS, type ServerName, type SizeKey } from "./peers/reads.js";
import { cpuRatio, figure, type Measured } from "./peers/rounds.js";
import { ON_LOAD_CORE, type Peer } from "./peers/servers.js";
import { startPeer } from "./results/peers-of-group.js";
import { printMachine, printTable } from "./support/report.js";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "stream,calls,lua,mget,grpc-js-stream,grpc-js-calls" },
    size: { type: "string", default: "ids" },
    rate: { type: "string", default: "0" },
    ids: { type: "string", default: "1,10,100,mix" },
    rounds: { type: "string", default: "3" },
    events: { type: "string", default: "100000" },
    homeservers: { type: "string", default: "1" },
    hits: { type: "string", default: "1" },
    writes: { type: "string", default: "0" },
    "measure-ms": { type: "string", default: "2000" },
    "warmup-ms": { type: "string", default: "700" },
    node: { type: "string" },
    other: { type: "string" },
    "other-node": { type: "string" },
  },
});
const variants = options.only.split(",");
const unknown = variants.filter((name) => !Object.hasOwn(READS, name));
if (unknown.length > 0) throw new Error(`--only: unknown ${unknown}; there are ${Object.keys(READS)}`);
if (!["ids", "subscribers", "batch"].includes(options.size))
  throw new Error("--size: ids, subscribers or batch");
const shape = { events: Number(options.events), homeservers: Number(options.homeservers) };
const node = options.node ?? process.execPath;

printMachine();
const load = new LoadGenerator({ events: shape.events, prefix: ON_LOAD_CORE });
const peers = new Map<ServerName, Peer>();
try {
  const description = await load.run<CorpusDescription>({ workload: "describe" });
  console.log(JSON.stringify(description));
  for (const server of new Set(variants.map((name) => READS[name]!.server))) {
    const fixedBytes = description.meanReplyBytes;
    const peer = await startPeer(server, load, {
      ...{ node, otherNode: options["other-node"], main: options.other },
      ...{ fixedBytes, ...shape },
    });
    peers.set(server, peer);
  }
  const spec = {
    ...shape,
    hitShare: Number(options.hits),
    writeShare: Number(options.writes),
    rate: Number(options.rate),
    measureMs: Number(options["measure-ms"]),
    warmupMs: Number(options["warmup-ms"]),
  };
  const scenario = {
    name: "reads",
    variants,
    sizeKey: options.size as SizeKey,
    sizes: options.ids.split(","),
    spec,
    rounds: Number(options.rounds),
  };
  print(await measureReads(scenario, load, peers, description.meanReplyBytes));
} finally {
  await load.stop();
  for (const peer of peers.values()) await peer.stop();
}

function print(all: readonly Measured[]): void {
  const rows: string[][] = [
    [
      "IDs",
      "variant",
      "CPU µs/request",
      "low",
      "high",
      "CPU µs/ID",
      "requests/s",
      "server busy",
      "load busy",
      "others",
      "p50 µs",
      "p99 µs",
      "ratio",
      "low",
      "high",
    ],
  ];
  for (const each of all) {
    const first = all.find(({ size }) => size === each.size)!;
    const cpu = figure(each, "cpuPerOperation");
    const ratio = cpuRatio(first, each);
    const percent = (key: "serverBusy" | "loadBusy" | "othersBusy") =>
      `${(100 * figure(each, key).median).toFixed(0)} %`;
    rows.push([
      each.size,
      each.variant,
      ...[cpu.median, cpu.low, cpu.high].map((value) => value.toFixed(1)),
      figure(each, "cpuPerEvent").median.toFixed(2),
      figure(each, "perSecond").median.toFixed(0),
      percent("serverBusy"),
      percent("loadBusy"),
      percent("othersBusy"),
      figure(each, "p50").median.toFixed(0),
      figure(each, "p99").median.toFixed(0),
      ...[ratio.median, ratio.low, ratio.high].map((value) => value.toFixed(2)),
    ]);
  }
  printTable(rows);
  console.log(
    `ratio: CPU of a request of the variant, by CPU of a request of ${all[0]?.variant}, in the same round`,
  );
}
