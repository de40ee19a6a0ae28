#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=131072 node --max-semi-space-size=2
import { constants, totalmem } from "node:os";
import process from "node:process";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { Command, CommanderError } from "commander";
import { ExitCode } from "./cli/exit-code.js";
import type { CliIo } from "./cli/io/cli-io.js";
import { withoutSecrets } from "./config/without-secrets.js";
import { boundGarbage } from "./process/heap-garbage.js";
import { standardErrorWriter } from "./process/standard-error.js";
import { readVersion } from "./process/version.js";
import type { ServeIo } from "./serve.js";
import { LineOutput } from "./telemetry/line-output.js";

/**
 * The process edge: arguments, environment, signals and exit codes. A command
 * loads only what it needs: `serve` no client, a client no server, since probes
 * run often and both share the machine with a homeserver.
 */

const EXIT_USAGE = 2;
const EXIT_SIGNAL = 128;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const stopRequested = abortOnSignal();
const program = new Command("splitcache")
  .description("Caches Matrix events for homeservers and streams what changed.")
  .version(readVersion())
  .configureOutput({ writeErr: (text) => process.stderr.write(withoutSecrets(text)) })
  .exitOverride();
const serve = program.command("serve").description("Runs the cache until SIGTERM or SIGINT.");
process.stdout.on("error", exitWithoutOutput);
// A message that cannot be written must not end a process that works.
process.stderr.on("error", () => {});
try {
  const isServe = process.argv.slice(2).find((word) => word !== "help") === "serve";
  if (isServe) {
    const { addServeCommand } = await import("./serve.js");
    addServeCommand(serve, serveIo());
  } else {
    const { registerClientCommands } = await import("./cli/program.js");
    registerClientCommands(program, clientIo());
  }
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}

function serveIo(): ServeIo {
  const logOutput = new LineOutput(standardErrorWriter());
  process.on("exit", () => logOutput.flush());
  return {
    env: process.env,
    version: readVersion(),
    nodeVersion: process.version,
    pid: process.pid,
    memoryLimitBytes: memoryLimitBytes(),
    heapLimitBytes: getHeapStatistics().heap_size_limit,
    openFilesMax: openFilesMax(),
    boundHeapGarbage: (bytesMax) =>
      boundGarbage(
        {
          usedBytes: () => getHeapStatistics().used_heap_size,
          setGrowthPercent: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
        },
        bytesMax,
      ),
    stdout: process.stdout,
    stderr: process.stderr,
    logOutput,
    stopRequested,
    onReloadRequested: (reload) => void process.on("SIGHUP", reload),
    onUnexpectedFailure: (report) => {
      process.on("uncaughtException", report);
      process.on("unhandledRejection", report);
    },
    exit: (code) => process.exit(code),
  };
}

/** A reader that has gone, such as `head`, is no failure to report; what else keeps output back is. */
function exitWithoutOutput(error: NodeJS.ErrnoException): never {
  if (error.code === "EPIPE") process.exit(EXIT_SIGNAL + constants.signals.SIGPIPE);
  process.stderr.write(`splitcache: standard output cannot be written: ${error.message}\n`);
  process.exit(ExitCode.outputFailed);
}

/** The container's limit. Without one Node.js answers 0 or a number above any memory. */
function memoryLimitBytes(): number | undefined {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

/** Node.js has raised the soft limit to the hard one at its start. */
function openFilesMax(): number {
  const report: unknown = process.report.getReport();
  const limit = (report as { userLimits?: { open_files?: { soft?: unknown } } }).userLimits?.open_files?.soft;
  return typeof limit === "number" ? limit : Number.POSITIVE_INFINITY;
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

/** What client commands see of the process. */
function clientIo(): CliIo {
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
