import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { CONNECTION_ATTACKS } from "./attackers.js";
import { HonestClient } from "./honest-client.js";
import { Random } from "./random.js";
import { Findings } from "./report.js";
import { type Delay, type Metrics, type Sidecar, startSidecar, total } from "./sidecar.js";
import { Worker } from "./worker.js";

export interface AttackOptions {
  /** The built program. */
  readonly main: string;
  readonly seed: string;
  /** Ends when so many calls were sent. */
  readonly callsMax: number;
  /** Ends after this time at the latest. */
  readonly secondsMax: number;
  /** Leaves out attacks after which a connection takes half a minute to be found dead. */
  readonly isShort?: boolean;
  /** Is given each fault when it is found, as far as they are listed. */
  readonly onFault?: (text: string) => void;
  /** Is given a line of progress from time to time. */
  readonly onProgress?: (line: string) => void;
}

/** What an attack has done and found. */
export interface AttackResult {
  readonly calls: number;
  readonly replies: number;
  readonly seconds: number;
  readonly faults: readonly string[];
  /** Further faults, not listed. */
  readonly faultsMore: number;
  /** How often each kind of call ended in which way. */
  readonly ends: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly residentBytesPeak: number;
  readonly residentBytesMax: number;
  readonly readySlowestMs: number;
  /** The most CPU time that the sidecar used before it answered /readyz: how long its event loop was busy. */
  readonly readySlowestCpuMs: number;
  /** How long the attackers' own event loop stood still, which no reply can be faster than. */
  readonly attackersSlowestMs: number;
  readonly honestRounds: number;
  readonly honestSlowestMs: number;
  readonly callsServed: number;
  readonly floodsEnded: number;
}

const WILD_WORKERS = 12;
const TIDY_WORKERS = 4;
const HONEST_PAUSE_MS = 50;
const WATCH_PAUSE_MS = 1000;
const WATCH_FAILURES_MAX = 2;
/** An event loop that is kept from probes for longer does not answer. */
const READY_CPU_MS_MAX = 2000;
const PROGRESS_MS = 30_000;
/** The server ends calls, and finds dead connections, within 30 s; it must have given back everything by then. */
const SETTLE_MS_MAX = 60_000;

/** Attacks a sidecar of its own, and compares all along what it must not do. */
export async function runAttack(options: AttackOptions): Promise<AttackResult> {
  const sidecar = await startSidecar(options.main);
  try {
    return await new Attack(options, sidecar).run();
  } finally {
    sidecar.kill();
  }
}

class Attack {
  readonly #options: AttackOptions;
  readonly #sidecar: Sidecar;
  readonly #findings: Findings;
  readonly #honest: HonestClient;
  readonly #startedAt = performance.now();
  #residentBytesPeak = 0;
  #readySlowestMs = 0;
  #readySlowestCpuMs = 0;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 5 });
  #isOver = false;

  constructor(options: AttackOptions, sidecar: Sidecar) {
    this.#options = options;
    this.#sidecar = sidecar;
    this.#findings = new Findings(options.onFault);
    this.#honest = new HonestClient(sidecar.port, this.#findings);
  }

  async run(): Promise<AttackResult> {
    this.#loopDelay.enable();
    await this.#honest.round();
    const beside = [this.#beHonest(), this.#watch(), this.#tellProgress()];
    await Promise.all(this.#workers().map((worker) => worker.run(() => this.#isDone())));
    this.#isOver = true;
    await Promise.all(beside);
    await this.#honest.round();
    this.#honest.close();
    const seconds = this.#seconds();
    const metrics = await this.#settled();
    this.#checkEnd(metrics);
    const wrongEnd = await this.#sidecar.stop();
    if (wrongEnd !== undefined) this.#findings.fault(`the sidecar did not stop well: ${wrongEnd}`);
    const { calls, replies, faults, faultsMore, ends } = this.#findings;
    return {
      calls,
      replies,
      seconds,
      faults,
      faultsMore,
      ends,
      residentBytesPeak: this.#residentBytesPeak,
      residentBytesMax: this.#sidecar.residentBytesMax,
      readySlowestMs: this.#readySlowestMs,
      readySlowestCpuMs: this.#readySlowestCpuMs,
      attackersSlowestMs: this.#loopDelay.max / 1e6,
      honestRounds: this.#honest.rounds,
      honestSlowestMs: this.#honest.slowestMs,
      callsServed: total(metrics, "grpc_server_handled_total", 'grpc_code="OK"'),
      floodsEnded: total(metrics, "splitcache_floods_total"),
    };
  }

  #workers(): Worker[] {
    const attacks = CONNECTION_ATTACKS.filter(
      (attack) => !(this.#options.isShort && attack.leavesConnections),
    );
    return Array.from({ length: WILD_WORKERS + TIDY_WORKERS }, (_, index) => {
      const random = new Random(`${this.#options.seed}/${index}`);
      const { port } = this.#sidecar;
      return new Worker({ port, random, findings: this.#findings, isTidy: index >= WILD_WORKERS, attacks });
    });
  }

  #seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  #isDone(): boolean {
    const { callsMax, secondsMax } = this.#options;
    return this.#findings.calls >= callsMax || this.#seconds() >= secondsMax || this.#sidecar.hasEnded();
  }

  async #beHonest(): Promise<void> {
    while (!this.#isOver && !this.#sidecar.hasEnded()) {
      await this.#honest.round();
      await delay(HONEST_PAUSE_MS);
    }
  }

  /** Sees to it that the sidecar lives, answers, and stays inside its bounds. */
  async #watch(): Promise<void> {
    let failures = 0;
    while (!this.#isOver) {
      if (this.#sidecar.hasEnded()) {
        this.#findings.fault(`the sidecar ended: ${this.#sidecar.badLines.join("\n")}`);
        return;
      }
      try {
        const resident = this.#sidecar.residentBytes();
        if (
          resident > this.#sidecar.residentBytesMax &&
          this.#residentBytesPeak <= this.#sidecar.residentBytesMax
        ) {
          this.#findings.fault(`resident memory is ${resident}, beyond ${this.#sidecar.residentBytesMax}`);
        }
        this.#residentBytesPeak = Math.max(this.#residentBytesPeak, resident);
        this.#checkReady(await this.#sidecar.ready());
        this.#checkBounds(await this.#sidecar.metrics());
        failures = 0;
      } catch (error) {
        // On a busy machine a connection of the HTTP port may end before its request is read.
        failures += 1;
        if (failures > WATCH_FAILURES_MAX) this.#findings.fault(`while it was watched: ${error}`);
      }
      await delay(WATCH_PAUSE_MS);
    }
  }

  #checkReady({ ms, cpuMs }: Delay): void {
    this.#readySlowestMs = Math.max(this.#readySlowestMs, ms);
    this.#readySlowestCpuMs = Math.max(this.#readySlowestCpuMs, cpuMs);
    if (cpuMs > READY_CPU_MS_MAX) this.#findings.fault(`/readyz was answered after ${cpuMs} ms of CPU time`);
  }

  #checkBounds(metrics: Metrics): void {
    for (const name of ["calls_in_flight", "bytes_in_flight", "read_streams", "subscribers", "connections"]) {
      const used = total(metrics, `splitcache_${name}`);
      const max = total(metrics, `splitcache_${name}_max`);
      if (used < 0 || used > max) this.#findings.fault(`splitcache_${name} is ${used}, of at most ${max}`);
    }
  }

  async #tellProgress(): Promise<void> {
    let toldAt = performance.now();
    while (!this.#isOver) {
      await delay(100);
      if (performance.now() - toldAt < PROGRESS_MS) continue;
      toldAt = performance.now();
      const mb = Math.round(this.#residentBytesPeak / 1e6);
      const { calls, faults } = this.#findings;
      const seconds = Math.round(this.#seconds());
      this.#options.onProgress?.(
        `${seconds} s: ${calls} calls, ${faults.length} faults, at most ${mb} MB resident`,
      );
    }
  }

  /** The metrics once nothing is in flight any more, or when that takes too long. */
  async #settled(): Promise<Metrics> {
    const end = performance.now() + SETTLE_MS_MAX;
    for (;;) {
      const metrics = await this.#sidecar.metrics();
      const held = HELD.filter(([name, label]) => total(metrics, name, label) !== 0);
      if (held.length === 0) return metrics;
      if (performance.now() >= end) {
        for (const [name, label] of held) {
          this.#findings.fault(`when all was over, ${name} was ${total(metrics, name, label)}, not 0`);
        }
        return metrics;
      }
      await delay(50);
    }
  }

  #checkEnd(metrics: Metrics): void {
    for (const code of ["INTERNAL", "UNKNOWN", "DATA_LOSS"]) {
      const label = `grpc_code="${code}"`;
      const count = total(metrics, "grpc_server_handled_total", label);
      if (count > 0) this.#findings.fault(`the metrics count ${count} calls with ${code}`);
    }
    const started = total(metrics, "grpc_server_started_total");
    const handled = total(metrics, "grpc_server_handled_total");
    if (started !== handled) this.#findings.fault(`${started} calls were started and ${handled} handled`);
    for (const line of this.#sidecar.badLines) this.#findings.fault(`the log says: ${line}`);
  }
}

/** What must be 0 when no client is left. */
const HELD = [
  ["splitcache_calls_in_flight", ""],
  ["splitcache_in_flight_bytes", ""],
  ["splitcache_read_streams", ""],
  ["splitcache_subscription_bytes", ""],
  ["splitcache_auxiliary_calls", ""],
  ["splitcache_subscribers", ""],
  ["splitcache_connections", 'listener="grpc"'],
] as const;
