import { Readable, Writable } from "node:stream";
import { Command, CommanderError } from "commander";
import type { CliIo } from "../../../src/cli/io/cli-io.js";
import { addClientCommands } from "../../../src/cli/program.js";

export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRunOptions {
  readonly env?: Record<string, string>;
  readonly stdin?: string | Buffer | AsyncIterable<string>;
  readonly signal?: AbortSignal;
  /** Adds the commands to the program; by default all commands. */
  readonly register?: (program: Command, io: CliIo) => void;
  /** The size of a terminal that shows stdout; none unless given. */
  readonly terminal?: { readonly columns: number; readonly rows: number };
  /** Called with all of stdout so far whenever there is more. */
  readonly onStdout?: (text: string) => void;
}

/** Runs a client command in this process, as the process edge would. */
export async function runCli(args: readonly string[], options: CliRunOptions = {}): Promise<CliRun> {
  const stdout = collector(options.onStdout);
  const stderr = collector();
  let code = 0;
  const program = new Command("splitcache").exitOverride().configureOutput({
    writeOut: (text) => stdout.stream.write(text),
    writeErr: (text) => stderr.stream.write(text),
  });
  const register = options.register ?? addClientCommands;
  register(program, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    stdin: Readable.from(bytesOf(options.stdin ?? "")),
    env: options.env ?? {},
    isTty: false,
    ...options.terminal,
    signal: options.signal ?? new AbortController().signal,
    setExitCode: (exitCode) => {
      code = exitCode;
    },
  });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    code = error.exitCode === 0 ? 0 : 2;
  }
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

async function* bytesOf(input: string | Buffer | AsyncIterable<string>): AsyncGenerator<Buffer> {
  const isWhole = typeof input === "string" || Buffer.isBuffer(input);
  for await (const part of isWhole ? [input] : input) yield Buffer.from(part);
}

function collector(onText: (text: string) => void = () => {}) {
  let text = "";
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      onText(text);
      done();
    },
  });
  return { stream, text: () => text };
}
