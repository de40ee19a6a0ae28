import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { Registry } from "prom-client";
import { ExitCode } from "./cli/exit-code.js";
import { startServer } from "./compose.js";
import { addConfigFlags, givenFlags } from "./config/flags.js";
import { ConfigError, type ParsedConfig, parseConfig } from "./config/parse-config.js";
import type { ConfigFile } from "./config/settings.js";
import { withoutSecrets } from "./config/without-secrets.js";
import { MEMORY_BUDGET_BYTES_MIN } from "./core/model/limits.js";
import { ListenError } from "./net/listeners.js";
import { formatted } from "./telemetry/console-lines.js";
import type { LineOutput } from "./telemetry/line-output.js";
import { createLogger } from "./telemetry/logger.js";
import { registerProcessMetrics } from "./telemetry/metrics.js";

/** The parts of the process that `serve` uses. */
export interface ServeIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** The container's memory limit; undefined without a limit. */
  readonly memoryLimitBytes: number | undefined;
  readonly heapLimitBytes: number;
  /** How many file descriptors the process may have; Infinity without a limit. */
  readonly openFilesMax: number;
  /** Keeps the garbage in the heap below a bound, as far as that is possible. */
  boundHeapGarbage(bytesMax: number): void;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Receives the log lines. */
  readonly logOutput: LineOutput;
  /** Whether a terminal shows the log lines. */
  readonly logsToTerminal: boolean;
  /** Aborts at the first signal to stop, which is its reason. A second signal ends the process at once. */
  readonly stopRequested: AbortSignal;
  /** Calls back at each SIGHUP; from then on SIGHUP does not end the process. */
  onReloadRequested(reload: () => void): void;
  /** Calls back for an unhandled error. */
  onUnexpectedFailure(report: (error: unknown) => void): void;
  /** Ends the process. */
  exit(code: number): never;
}

/** Adds the command that runs the cache. */
export function addServeCommand(command: Command, io: ServeIo): void {
  addConfigFlags(command)
    .option(
      "--config <path>",
      "Reads a YAML file with these options, with _ in place of - (env: SPLITCACHE_CONFIG).",
    )
    .option("--print-config", "Prints the effective configuration and exits.")
    .addHelpText(
      "after",
      "\nFlags override the environment, which overrides the file.\n\nExit codes: splitcache help exit-codes",
    )
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
    return io.exit(ExitCode.usage);
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
  const target = { isTerminal: io.logsToTerminal, env: io.env };
  const logger = createLogger({ level: config.logLevel, to: formatted(logOutput, config.logFormat, target) });
  logOutput.onRecovered((dropped) =>
    logger.warn("log lines were dropped because they could not be written", { dropped }),
  );
  const fail = (message: string, fields: Readonly<Record<string, unknown>> = {}): never => {
    logger.fatal(message, fields);
    return io.exit(ExitCode.failure);
  };
  // Garbage may add a quarter of the budget. The smallest budget leaves no room for garbage on top.
  io.boundHeapGarbage((config.memoryBytes - MEMORY_BUDGET_BYTES_MIN) / 4);
  io.onUnexpectedFailure((err) => fail("unexpected failure", { err }));
  let reload = () => {};
  io.onReloadRequested(() => {
    logger.info("SIGHUP: certificates and clients are read again; other options require a restart");
    reload();
  });
  const registry = new Registry();
  registerProcessMetrics(registry);
  const droppedLogLines = () => logOutput.dropped;
  const deps = { ...io, logger, registry, droppedLogLines };
  const server = await startServer(config, deps).catch((error: unknown) => {
    if (!(error instanceof ListenError || error instanceof ConfigError)) throw error;
    const lines = error.message.split("\n");
    for (const line of lines.slice(1)) logger.fatal(line);
    return fail(lines[0]!);
  });
  reload = () => server.reload();
  const { stopRequested } = io;
  if (!stopRequested.aborted) await once(stopRequested, "abort");
  logger.info("stopping", { signal: stopRequested.reason });
  await server.stop();
  io.exit(ExitCode.done);
}
