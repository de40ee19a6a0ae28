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
 * The process edge: arguments, environment, signals and exit codes. `serve` loads no client and a
 * client command no server: probes run often and share the machine with a homeserver.
 */

const EXIT_SIGNAL = 128;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const stopRequested = abortOnSignal();
const program = new Command("splitcache")
  .description("Caches Matrix events for homeservers and streams their changes.")
  .version(readVersion(), "-V, --version", "Prints the version.")
  .helpOption("-h, --help", "Shows this help.")
  .helpCommand("help [command]", "Shows the help of a command")
  // A narrow terminal still wraps: the default of 40 would leave long lines.
  .configureHelp({ minWidthToWrap: 20 })
  .configureOutput({ writeErr: (text) => process.stderr.write(withoutSecrets(text)) })
  .exitOverride();
const serve = program
  .command("serve")
  .summary("Runs the cache until SIGTERM or SIGINT")
  .description("Runs the cache until SIGTERM or SIGINT.");
process.stdout.on("error", exitWithoutOutput);
// A message that cannot be written does not end the process.
process.stderr.on("error", () => {});
try {
  const isServe = process.argv.slice(2).find((word) => word !== "help") === "serve";
  if (isServe) {
    const { addServeCommand } = await import("./serve.js");
    addServeCommand(serve, serveIo());
  } else {
    // @grpc/grpc-js sends an IP address as the server name of TLS, of which Node.js would warn on stderr.
    process.noDeprecation = true;
    const { addClientCommands } = await import("./cli/program.js");
    addClientCommands(program, clientIo());
  }
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? ExitCode.done : ExitCode.usage;
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
    logsToTerminal: process.stderr.isTTY === true,
    stopRequested,
    onReloadRequested: (reload) => void process.on("SIGHUP", reload),
    onUnexpectedFailure: (report) => {
      process.on("uncaughtException", report);
      process.on("unhandledRejection", report);
    },
    exit: (code) => process.exit(code),
  };
}

/** A reader that ended, such as `head`, is no failure to report; any other reason is. */
function exitWithoutOutput(error: NodeJS.ErrnoException): never {
  if (error.code === "EPIPE") process.exit(ExitCode.readerGone);
  process.stderr.write(`splitcache: standard output cannot be written: ${error.message}\n`);
  process.exit(ExitCode.outputFailed);
}

/** The container's limit. Without a limit, Node.js answers 0 or a number larger than the memory. */
function memoryLimitBytes(): number | undefined {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

/** The soft limit, which Node.js raises to the hard limit when it starts. */
function openFilesMax(): number {
  const report: unknown = process.report.getReport();
  const limit = (report as { userLimits?: { open_files?: { soft?: unknown } } }).userLimits?.open_files?.soft;
  return typeof limit === "number" ? limit : Number.POSITIVE_INFINITY;
}

/** Aborts at the first signal to stop, with the signal as the reason. A second signal ends the process at once. */
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

/** The parts of the process that client commands use. */
function clientIo(): CliIo {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    isTty: process.stderr.isTTY === true,
    // They change with the size of the terminal's window.
    get columns() {
      return process.stdout.columns;
    },
    get rows() {
      return process.stdout.rows;
    },
    signal: stopRequested,
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}
