#!/usr/bin/env node
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { constants, totalmem } from "node:os";
import process from "node:process";
import { getHeapStatistics } from "node:v8";
import { Command, CommanderError } from "commander";
import { Registry } from "prom-client";
import type { CliIo } from "./cli/cli-io.js";
import { registerClientCommands } from "./cli/program.js";
import { addConfigFlags, givenFlags } from "./config/flags.js";
import { ConfigError, type ParsedConfig, parseConfig } from "./config/parse-config.js";
import type { ConfigFile } from "./config/settings.js";
import { ListenError } from "./ops/listeners.js";
import { createLog, type Log } from "./ops/log.js";
import { registerProcessMetrics } from "./ops/metrics.js";
import { readVersion } from "./ops/version.js";
import { type RunningServer, startServer } from "./server.js";

/**
 * The process edge: arguments, environment, signals and exit codes. `serve` exits
 * with 0 after a graceful stop, 1 if it cannot start or fails, 2 if its
 * configuration is wrong, 128 + the signal's number on a second signal.
 */

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const EXIT_SIGNAL = 128;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const stopRequested = abortOnSignal();
const program = new Command("splitcache")
  .description("Caches Matrix events for homeservers and streams what changed.")
  .version(readVersion())
  .exitOverride();
const serveCommand = addConfigFlags(program.command("serve"))
  .description("Runs the cache until SIGTERM or SIGINT.")
  .option("--config <path>", "YAML file with these options, each - written as _ (env: SPLITCACHE_CONFIG)")
  .option("--print-config", "Prints the configuration that results, and exits")
  .addHelpText("after", "\nFlags win over the environment, and that over the file.");
serveCommand.action(async () => {
  const parsed = await readConfig();
  if (parsed === undefined) return;
  if (serveCommand.opts<{ printConfig?: true }>().printConfig) process.stdout.write(parsed.yaml);
  else await serve(parsed.config);
});

// A reader that has gone, such as `head`, is no failure worth a stack trace.
process.stdout.on("error", () => process.exit(EXIT_SIGNAL + constants.signals.SIGPIPE));
registerClientCommands(program, processIo());
try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}

/** The configuration; undefined once its mistakes have been reported. */
async function readConfig(): Promise<ParsedConfig | undefined> {
  const path = serveCommand.opts<{ config?: string }>().config ?? process.env["SPLITCACHE_CONFIG"];
  try {
    return parseConfig({
      flags: givenFlags(serveCommand),
      environment: process.env,
      file: path ? await readConfigFile(path) : undefined,
      memoryLimitBytes: memoryLimitBytes(),
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = EXIT_USAGE;
    return undefined;
  }
}

async function readConfigFile(path: string): Promise<ConfigFile> {
  try {
    return { path, text: await readFile(path, "utf8") };
  } catch (error) {
    return { path, problem: `cannot be read: ${error instanceof Error ? error.message : error}` };
  }
}

/** The container's limit. Without one Node.js answers 0 or a number above any memory. */
function memoryLimitBytes(): number | undefined {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

async function serve(config: ParsedConfig["config"]): Promise<void> {
  const log = createLog({ level: config.logLevel });
  process.on("uncaughtException", (err) => fail(log, "unexpected failure", { err }));
  process.on("unhandledRejection", (err) => fail(log, "unexpected failure", { err }));
  const registry = new Registry();
  registerProcessMetrics(registry);
  const server = await startServer(config, {
    log,
    registry,
    version: readVersion(),
    nodeVersion: process.version,
    pid: process.pid,
    heapLimitBytes: getHeapStatistics().heap_size_limit,
  }).catch((error: unknown): RunningServer => {
    if (!(error instanceof ListenError)) throw error;
    return fail(log, error.message);
  });
  if (!stopRequested.aborted) await once(stopRequested, "abort");
  log.info("stopping", { signal: stopRequested.reason });
  await server.stop();
  process.exit(0);
}

/** Aborts at the first signal to stop, for that reason; a second one ends the process at once. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(EXIT_SIGNAL + constants.signals[signal]);
      controller.abort(signal);
    });
  }
  return controller.signal;
}

function fail(log: Log, message: string, fields: Readonly<Record<string, unknown>> = {}): never {
  log.fatal(message, fields);
  process.exit(EXIT_FAILURE);
}

/** What client commands see of the process. */
function processIo(): CliIo {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    isTty: process.stderr.isTTY === true,
    columns: process.stdout.columns,
    signal: stopRequested,
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}
