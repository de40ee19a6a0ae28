// Runs the whole comparison, or one part of the benchmarks; --help lists what each part shows.
import { spawnSync } from "node:child_process";
import process from "node:process";

const PARTS = {
  eviction: "hits on recorded reads with S3-FIFO and with LRU, at several budgets",
  fairness:
    "latency and hit rate of a quiet homeserver beside one that floods, purges or reads nothing, against its own alone",
  "get-events":
    "GetEvents calls per second against a Redis Lua script that does the same read, on one core each",
  log: "latency and server CPU of a change over the PostgreSQL log, against a bare INSERT, by members",
  memory: "resident memory of a full cache against the promised bound, for several sizes of bodies",
  "near-cache": "near hits per second of processor time, against a bare Map, lru-cache and a read stream",
  peers: "CPU of a read of a sidecar against Redis, and against servers with fixed replies",
  "purge-room": "duration of PurgeRoom for small and large rooms, and how long a read waits meanwhile",
  "read-by-log": "CPU of a read over the memory log, over PostgreSQL, and with a Redis tier",
  recovery:
    "time until every sidecar serves again after a network cut, a restart or a promotion of PostgreSQL",
  results: "the whole comparison with Redis: RESULTS.md and its charts; the default",
  tier: "memory, time and CPU of the Redis tier against MGET and against separate copies",
  "warm-start": "reads of the database that a new sidecar needs, with and without a warm tier",
};

const words = process.argv.slice(2);
const isDefault = words.length === 0 || (words[0].startsWith("--") && words[0] !== "--help");
const [part, ...args] = isDefault ? ["results", ...words] : words;
if (!Object.hasOwn(PARTS, part)) {
  const width = Math.max(...Object.keys(PARTS).map((name) => name.length));
  const lines = Object.entries(PARTS).map(([name, shows]) => `  ${name.padEnd(width)}  ${shows}`);
  console.log(`Usage: npm run bench -- [<part>] [<options>]\n\n${lines.join("\n")}`);
  process.exitCode = part === "--help" ? 0 : 2;
} else {
  const run = (command, commandArgs) => {
    const { status } = spawnSync(command, commandArgs, { stdio: "inherit" });
    if (status !== 0) process.exit(status ?? 1);
  };
  run("npm", ["run", "build", "--silent"]);
  run("npx", ["tsc", "-p", "tsconfig.tools.json"]);
  run(process.execPath, [`build/bench/${part}.js`, ...args]);
}
