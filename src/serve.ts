import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { Registry } from "prom-client";
import { startServer } from "./compose.js";
import { addConfigFlags, givenFlags } from "./config/flags.js";
import { ConfigError, type ParsedConfig, parseConfig } from "./config/parse-config.js";
import type { ConfigFile } from "./config/settings.js";
import { withoutSecrets } from "./config/without-secrets.js";
import { MEMORY_BUDGET_BYTES_MIN } from "./core/model/limits.js";
import { ListenError } from "./net/listeners.js";
import type { LineOutput } from "./telemetry/line-output.js";
import { createLog } from "./telemetry/log.js";
import { registerProcessMetrics } from "./telemetry/metrics.js";

/** What `serve` needs of the process. */
export interface ServeIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** The container's memory limit; undefined where there is none. */
  readonly memoryLimitBytes: number | undefined;
  readonly heapLimitBytes: number;
  /** How many file descriptors the process may have; Infinity without a limit. */
  readonly openFilesMax: number;
  /** Keeps what garbage in the heap costs below a bound, as far as that is possible. */
  boundHeapGarbage(bytesMax: number): void;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Where log lines go. */
  readonly logOutput: LineOutput;
  /** Aborts at the first signal to stop, which is its reason; a second one ends the process at once. */
  readonly stopRequested: AbortSignal;
  /** Calls back at each SIGHUP, which ends the process no more from then on. */
  onReloadRequested(reload: () => void): void;
  /** Calls back for a failure that nobody handled. */
  onUnexpectedFailure(report: (error: unknown) => void): void;
  /** Ends the process. */
  exit(code: number): never;
}

/** The exit codes of `serve`; on a second signal it is 128 + the signal's number. */
export const SERVE_EXIT = { stopped: 0, failed: 1, usage: 2 } as const;

/** Adds the command that runs the cache. */
export function addServeCommand(command: Command, io: ServeIo): void {
  addConfigFlags(command)
    .option("--config <path>", "YAML file with these options, each - written as _ (env: SPLITCACHE_CONFIG)")
    .option("--print-config", "Prints the configuration that results, and exits")
    .addHelpText("after", "\nFlags win over the environment, and that over the file.")
    .action(async () => {
      const parsed = await readConfig(command, io);
      if (command.opts<{ printConfig?: true }>().printConfig) io.stdout.write(parsed.yaml);
      else await serve(parsed.config, io);
    });
}

async function readConfig(command: Command, io: ServeIo): Promise<ParsedConfig> {
  const path = command.opts<{ config?: string }>().config ?? io.env["SPLITCACHE_CONFIG"];
  try {
    return parseConfig({
      flags: givenFlags(command),
      environment: io.env,
      file: path ? await readConfigFile(path) : undefined,
      memoryLimitBytes: io.memoryLimitBytes,
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    io.stderr.write(`${error.message}\n`);
    return io.exit(SERVE_EXIT.usage);
  }
}

async function readConfigFile(path: string): Promise<ConfigFile> {
  try {
    return { path, text: await readFile(path, "utf8") };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { path, problem: `cannot be read: ${withoutSecrets(message)}` };
  }
}

async function serve(config: ParsedConfig["config"], io: ServeIo): Promise<void> {
  const { logOutput } = io;
  const log = createLog({ level: config.logLevel, to: logOutput });
  logOutput.onRecovered((dropped) =>
    log.warn("log lines were dropped: they could not be written", { dropped }),
  );
  const fail = (message: string, fields: Readonly<Record<string, unknown>> = {}): never => {
    log.fatal(message, fields);
    return io.exit(SERVE_EXIT.failed);
  };
  // The process may take a quarter of its budget more. At the smallest budget it takes that by itself.
  io.boundHeapGarbage((config.memoryBytes - MEMORY_BUDGET_BYTES_MIN) / 4);
  io.onUnexpectedFailure((err) => fail("unexpected failure", { err }));
  io.onReloadRequested(() => {
    log.info("SIGHUP has no effect: no option can be reloaded; restart to change the configuration");
  });
  const registry = new Registry();
  registerProcessMetrics(registry);
  const droppedLogLines = () => logOutput.dropped;
  const deps = { ...io, log, registry, droppedLogLines };
  const server = await startServer(config, deps).catch((error: unknown) => {
    if (!(error instanceof ListenError || error instanceof ConfigError)) throw error;
    const lines = error.message.split("\n");
    for (const line of lines.slice(1)) log.fatal(line);
    return fail(lines[0]!);
  });
  const { stopRequested } = io;
  if (!stopRequested.aborted) await once(stopRequested, "abort");
  log.info("stopping", { signal: stopRequested.reason });
  await server.stop();
  io.exit(SERVE_EXIT.stopped);
}
