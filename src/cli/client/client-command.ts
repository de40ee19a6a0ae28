import { type Command, Option } from "commander";
import { withoutSecrets } from "../../config/without-secrets.js";
import { NAME_BYTES_MAX } from "../../core/model/limits.js";
import { CliError } from "../cli-error.js";
import { EXIT_CODES_HELP, ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { parseDurationMs } from "../io/duration.js";
import { terminalText } from "../io/terminal-text.js";
import { isFaithful, NOT_UTF8 } from "./check-arguments.js";
import { type Connection, connect } from "./connection.js";
import { DEFAULT_ADDRESS_HELP, defaultAddress } from "./default-address.js";
import { describeFailure } from "./describe-failure.js";

/** Not SPLITCACHE_HOMESERVER: with that `serve` would serve no other homeserver. */
const HOMESERVER_VARIABLE = "SPLITCACHE_CLIENT_HOMESERVER";

/** What a command prints: for people, or one JSON object a line. */
export type OutputFormat = "table" | "json";

export interface ConnectionFlags {
  readonly address?: string;
  readonly timeout: number;
}

export interface HomeserverFlags {
  readonly homeserver?: string;
}

export interface OutputFlags {
  readonly output: OutputFormat;
}

/** Adds `--address`. */
export function addAddressOption(command: Command): Command {
  const where = "the sidecar: host:port or unix:path";
  return command.option("--address <address>", `${where} (${DEFAULT_ADDRESS_HELP})`);
}

/** Adds `--address` and `--timeout`. */
export function addConnectionOptions(command: Command): Command {
  return addAddressOption(command).addOption(
    new Option("--timeout <duration>", "how long one call may take")
      .argParser(parseDurationMs)
      .default(5000, "5s"),
  );
}

/** Adds `--homeserver`. */
export function addHomeserverOption(command: Command): Command {
  return command.option("-H, --homeserver <name>", `the homeserver to act for (env: ${HOMESERVER_VARIABLE})`);
}

/** Adds `--output`. */
export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option("-o, --output <format>", "what to print").choices(["table", "json"]).default("table"),
  );
}

/** Adds the examples and the exit codes at the end of the help. */
export function addExamples(command: Command, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ splitcache ${example}`).join("\n");
  return command.addHelpText("after", `\nExamples:\n${lines}\n\n${EXIT_CODES_HELP}`);
}

/** The homeserver of the flags or the environment. */
export function homeserverOf(flags: HomeserverFlags, io: CliIo): string {
  const name = flags.homeserver ?? io.env[HOMESERVER_VARIABLE] ?? "";
  if (name === "" || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new CliError(
      ExitCode.usage,
      `name the homeserver with --homeserver or ${HOMESERVER_VARIABLE}, 1 to ${NAME_BYTES_MAX} bytes`,
    );
  }
  // Flags are checked with all arguments.
  if (!isFaithful(name)) throw new CliError(ExitCode.usage, `${HOMESERVER_VARIABLE} ${NOT_UTF8}`);
  return name;
}

/** The address of the flags or the environment. */
export function addressOf(flags: ConnectionFlags, io: CliIo): string {
  return flags.address ?? defaultAddress(io.env);
}

/** Runs a command over a connection that is closed at its end; see `runCommand`. */
export function runClient(
  io: CliIo,
  flags: ConnectionFlags,
  run: (connection: Connection) => Promise<ExitCode>,
): Promise<void> {
  const address = addressOf(flags, io);
  return runCommand(io, address, async () => {
    const connection = connect({ address, timeoutMs: flags.timeout, signal: io.signal });
    try {
      return await run(connection);
    } finally {
      connection.close();
    }
  });
}

/** Runs a command and sets the exit code; a failure is one line on stderr. Never rejects. */
export async function runCommand(io: CliIo, address: string, run: () => Promise<ExitCode>): Promise<void> {
  try {
    io.setExitCode(await run());
  } catch (failure) {
    // Whatever fails after it, such as input that is no longer read, fails because of it.
    const error = io.signal.aborted
      ? new CliError(ExitCode.interrupted, "interrupted", failure)
      : describeFailure(failure, address);
    io.stderr.write(`splitcache: ${terminalText(withoutSecrets(error.message))}\n`);
    io.setExitCode(error.exitCode);
  }
}
