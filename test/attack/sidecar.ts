import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const MIB = 2 ** 20;
/** A small budget, so that an attack reaches it and evictions happen. */
export const MEMORY_BYTES = 64 * MIB;
const BYTES_IN_FLIGHT_MAX = 64 * MIB;
/**
 * What the README promises: 1.25 times the budget and 100 MB, and requests and replies
 * in flight on top. Batches on their way to subscribers and the buffers of
 * connections come beside it.
 */
const RESIDENT_BYTES_MAX = 1.25 * MEMORY_BYTES + 100e6 + BYTES_IN_FLIGHT_MAX + 64 * MIB;

/** Metrics as Prometheus reads them, by their name with its labels. */
export type Metrics = ReadonlyMap<string, number>;

/** How long something took. */
export interface Delay {
  readonly ms: number;
  /** The CPU time of the sidecar meanwhile: on a busy machine this alone is the sidecar's fault. */
  readonly cpuMs: number;
}

/** The built program under attack, in a process of its own. */
export interface Sidecar {
  readonly port: number;
  readonly residentBytesMax: number;
  metrics(): Promise<Metrics>;
  /** How long /readyz took to answer; rejects if it does not answer with 200. */
  ready(): Promise<Delay>;
  residentBytes(): number;
  hasEnded(): boolean;
  /** Lines of the log that no client may cause. */
  readonly badLines: readonly string[];
  /** Ends it with SIGTERM; resolves to what is wrong with its end. */
  stop(): Promise<string | undefined>;
  /** Ends it at once, if it has not ended. */
  kill(): void;
}

/** `main` is the built program. */
export async function startSidecar(main: string): Promise<Sidecar> {
  const anyPort = "127.0.0.1:0";
  const args = ["--max-semi-space-size=2", "--enable-source-maps", main, "serve"];
  args.push("--listen", anyPort, "--http", anyPort, "--memory", `${MEMORY_BYTES / MIB}MiB`);
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "pipe"],
    // As in `npm start`.
    env: { MALLOC_MMAP_THRESHOLD_: "131072" },
  });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  const badLines: string[] = [];
  const ended = once(child, "close");
  const started = new Promise<{ listen: string[]; http: string }>((resolve, reject) => {
    void ended.then(() => reject(new Error(`the sidecar ended: ${badLines.join("\n")}`)));
    createInterface({ input: child.stderr }).on("line", (line) => {
      const fields = parseLine(line);
      if (fields?.msg === "splitcache serves")
        resolve(fields as unknown as { listen: string[]; http: string });
      if (fields === undefined || ["error", "fatal"].includes(fields.level)) {
        if (badLines.length < 20) badLines.push(line.slice(0, 500));
      }
    });
  });
  const { listen, http } = await started;
  const get = (path: string) => fetch(`http://${http}${path}`, { signal: AbortSignal.timeout(120_000) });
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    port: Number(listen[0]?.split(":")[1]),
    residentBytesMax: RESIDENT_BYTES_MAX,
    badLines,
    hasEnded,
    metrics: async () => parseMetrics(await (await get("/metrics")).text()),
    ready: async () => {
      const start = performance.now();
      const cpuStart = cpuMs(child.pid);
      const response = await get("/readyz");
      await response.text();
      if (response.status !== 200) throw new Error(`/readyz answered ${response.status}`);
      return { ms: performance.now() - start, cpuMs: cpuMs(child.pid) - cpuStart };
    },
    residentBytes: () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1024,
    stop: async () => {
      if (hasEnded()) return `it had ended with ${child.exitCode ?? child.signalCode}`;
      child.kill("SIGTERM");
      await ended;
      process.off("exit", kill);
      return child.exitCode === 0 ? undefined : `it ended with ${child.exitCode ?? child.signalCode}`;
    },
    kill: () => {
      if (!hasEnded()) child.kill("SIGKILL");
    },
  };
}

/** CPU time of a process, in steps of 10 ms. */
function cpuMs(pid: number | undefined): number {
  // The name of the program, in brackets, may hold spaces; utime and stime are fields 14 and 15.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function parseLine(line: string): { level: string; msg: string } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function parseMetrics(text: string): Metrics {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** The sum of all series of a metric; of those with a label, if it is given. */
export function total(metrics: Metrics, name: string, label = ""): number {
  let sum = 0;
  for (const [series, value] of metrics) {
    if (series.split("{")[0] === name && series.includes(label)) sum += value;
  }
  return sum;
}
