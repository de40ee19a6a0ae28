import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** One measurement: what the load generator reads as a line of JSON. What is absent has the default of `bench/load/run.go`. */
export interface LoadSpec {
  readonly workload: string;
  readonly address?: string;
  readonly serverPid?: number;
  readonly serverCore?: number;
  readonly ids?: number;
  readonly events?: number;
  readonly homeservers?: number;
  readonly hitShare?: number;
  readonly writeShare?: number;
  readonly connections?: number;
  readonly inFlight?: number;
  readonly warmupMs?: number;
  readonly measureMs?: number;
  readonly rate?: number;
  readonly fixedBytes?: number;
  readonly subscribers?: number;
  readonly batch?: number;
  readonly firstHomeserver?: number;
}

/** The figures of one measurement: CPU and latencies in microseconds, `…Busy` as shares of a core. */
export interface LoadResult {
  readonly operations: number;
  readonly events: number;
  readonly perSecond: number;
  readonly cpuPerOperation: number;
  readonly cpuPerEvent: number;
  readonly serverBusy: number;
  readonly loadBusy: number;
  readonly othersBusy: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What the load generator reads and puts. */
export interface CorpusDescription {
  readonly events: number;
  readonly meanReplyBytes: number;
  readonly batchMean: number;
  readonly batchMedian: number;
  readonly batchP90: number;
  readonly batchP99: number;
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The load generator of `bench/load`, built and running on a core of its own. */
export class LoadGenerator {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor({ events, prefix }: { readonly events: number; readonly prefix: readonly string[] }) {
    execFileSync("go", ["build", "-o", `${ROOT}build/bench-load`, "."], {
      cwd: `${ROOT}bench/load`,
      stdio: "inherit",
    });
    const corpus = process.env["SPLITCACHE_DATA"] ?? `${ROOT}demo`;
    const command = [...prefix, `${ROOT}build/bench-load`, "-corpus", corpus, "-events", String(events)];
    // One core is enough for one thread that runs Go; more would only change places.
    const env = { ...process.env, GOMAXPROCS: "1", GOGC: "400" };
    this.#child = spawn(command[0]!, command.slice(1), { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** Runs one measurement. An error of the workload, such as a reply that is wrong, is thrown. */
  async run<Result = LoadResult>(spec: LoadSpec): Promise<Result> {
    this.#child.stdin!.write(`${JSON.stringify(spec)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the load generator ended at ${JSON.stringify(spec)}`);
    const result = JSON.parse(value);
    if (result.error !== undefined) throw new Error(`${result.error}: ${JSON.stringify(spec)}`);
    return result;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin!.end();
    await exited;
  }
}
