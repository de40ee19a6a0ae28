import { Argument, type Command, Option } from "commander";
import { withoutSecrets } from "../config/without-secrets.js";
import { NAME_BYTES_MAX } from "../core/model/limits.js";
import {
  ADDRESS_HELP,
  ADMIN_ADDRESS_HELP,
  defaultAddress,
  defaultAdminAddress,
  defaultProbeAddress,
  PROBE_ADDRESS_HELP,
  parseAddress,
} from "./client/address.js";
import { connect, type SidecarConnection } from "./client/connection.js";
import { describeFailure } from "./client/describe-failure.js";
import { type ClientSecurity, securityFlags, securityOf } from "./client/security.js";
import { CliError, ExitCode } from "./exit-code.js";
import { choice, duration, type Flag, type Flags, faithful, parsed, text, type ValuesOf } from "./flags.js";
import type { CliIo } from "./io/cli-io.js";
import { terminalText } from "./io/text.js";
import { isFaithful, NOT_UTF8 } from "./io/utf8.js";

/** The declaration of a command. `addCommand` builds the command of the program from it. */
export interface Declaration<F extends Flags, Call> {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly description: string;
  /** Positional arguments: `<id>`, `[file]` or `<id...>`, each with its help. */
  readonly args?: Readonly<Record<string, string>>;
  readonly flags: F;
  /** Command lines without the program's name. */
  readonly examples: readonly string[];
  /** Text for the end of the help. */
  readonly notes?: string;
  /** Throws a CliError, or the error of a call. */
  run(call: Call): Promise<ExitCode>;
}

/** What a command is given when it runs. */
export interface Call<F extends Flags> {
  readonly io: CliIo;
  readonly args: readonly string[];
  readonly flags: ValuesOf<F>;
  /** Whether `-o json` is given. */
  readonly isJson: boolean;
  /** Prints the result: with `-o json` one object a line, else the text. */
  print(objects: readonly object[], text: string): void;
}

export interface SidecarCall<F extends Flags> extends Call<F> {
  readonly flags: ValuesOf<F> & ValuesOf<typeof sidecarFlags>;
  /** Closed when the command ends. */
  readonly connection: SidecarConnection;
}

export interface HomeserverCall<F extends Flags> extends SidecarCall<F> {
  readonly flags: ValuesOf<F> & ValuesOf<typeof sidecarFlags> & ValuesOf<typeof homeserverFlags>;
  readonly homeserver: string;
}

/** A command of any kind. */
export type ClientCommand = Declaration<Flags, Call<Flags>>;

/** Not SPLITCACHE_HOMESERVER: with that variable `serve` would serve no other homeserver. */
const HOMESERVER_VARIABLE = "SPLITCACHE_CLIENT_HOMESERVER";

const outputFlags = {
  output: choice("Selects the format of the output.", ["text", "json"], { short: "-o" }),
};
const timeout = duration("Limits the time of one call.", "5s");
const connectionFlagsOf = (help: string, note: string) => ({
  address: parsed("<address>", help, parseAddress, { note }),
  timeout,
  ...securityFlags,
});
const sidecarFlags = connectionFlagsOf("Names the sidecar: host:port or unix:path.", ADDRESS_HELP);
const probeFlags = connectionFlagsOf("Names the sidecar: host:port or unix:path.", PROBE_ADDRESS_HELP);
const adminFlags = connectionFlagsOf(
  "Names the sidecar's admin listener: host:port or unix:path.",
  ADMIN_ADDRESS_HELP,
);
const homeserverFlags = {
  homeserver: text("<name>", "Names the homeserver to act for.", {
    short: "-H",
    note: `env: ${HOMESERVER_VARIABLE}`,
  }),
};

/** Declares a command that calls no sidecar; adds `--output`. */
export function localCommand<F extends Flags>(declared: Declaration<F, Call<F>>): ClientCommand {
  return {
    ...declared,
    flags: { ...declared.flags, ...outputFlags },
    run: (call) => declared.run(call as Call<F>),
  };
}

/** Declares a command that calls a sidecar; adds `--address`, `--timeout`, `--output` and the flags of TLS and token. */
export function sidecarCommand<F extends Flags>(declared: Declaration<F, SidecarCall<F>>): ClientCommand {
  return connectedCommand(declared, sidecarFlags, defaultAddress);
}

/** Declares a command that asks for health alone; adds the same flags. */
export function probeCommand<F extends Flags>(declared: Declaration<F, SidecarCall<F>>): ClientCommand {
  return connectedCommand(declared, probeFlags, (env, { tls }) =>
    defaultProbeAddress(env, tls !== undefined),
  );
}

/** Declares a command that calls the admin listener of a sidecar; adds the same flags. */
export function adminCommand<F extends Flags>(declared: Declaration<F, SidecarCall<F>>): ClientCommand {
  return connectedCommand(declared, adminFlags, defaultAdminAddress);
}

function connectedCommand<F extends Flags>(
  declared: Declaration<F, SidecarCall<F>>,
  connectionFlags: typeof sidecarFlags,
  addressOf: (env: CliIo["env"], security: ClientSecurity) => string,
): ClientCommand {
  return localCommand({
    ...declared,
    flags: { ...connectionFlags, ...declared.flags },
    run: async (given) => {
      const call = given as Omit<SidecarCall<F>, "connection">;
      const { io, flags } = call;
      const security = securityOf(flags, io.env);
      const address = flags.address ?? addressOf(io.env, security);
      const connection = connect({ address, timeoutMs: flags.timeout, signal: io.signal, security });
      try {
        return await declared.run({ ...call, connection });
      } catch (failure) {
        throw describeFailure(failure, address);
      } finally {
        connection.close();
      }
    },
  });
}

/** Declares a command that acts for one homeserver; adds `--homeserver` to what `sidecarCommand` adds. */
export function homeserverCommand<F extends Flags>(
  declared: Declaration<F, HomeserverCall<F>>,
): ClientCommand {
  return sidecarCommand({
    ...declared,
    flags: { ...homeserverFlags, ...declared.flags },
    run: (given) => {
      const call = given as Omit<HomeserverCall<F>, "homeserver">;
      return declared.run({ ...call, homeserver: homeserverOf(call.flags.homeserver, call.io) });
    },
  });
}

/** Adds a group of commands, which follow its name. */
export function addGroup(
  program: Command,
  io: CliIo,
  group: Pick<ClientCommand, "name" | "summary" | "description" | "examples">,
  commands: readonly ClientCommand[],
): void {
  const added = program.command(group.name).summary(group.summary).description(group.description);
  added.addHelpText("after", endOfHelp(group));
  for (const command of commands) addCommand(added, io, command);
}

/** Adds a command to a program. It sets the exit code and reports its failure itself. */
export function addCommand(program: Command, io: CliIo, declared: ClientCommand): void {
  const command = program.command(declared.name).summary(declared.summary).description(declared.description);
  for (const [form, help] of Object.entries(declared.args ?? {})) {
    const parse = (text: string, before: readonly string[] = []) => [...before, faithful(text)];
    command.addArgument(new Argument(form, help).argParser(parse));
  }
  for (const [key, flag] of Object.entries(declared.flags)) command.addOption(optionOf(key, flag));
  command.addHelpText("after", endOfHelp(declared));
  command.action(() => {
    const given = command.opts<Record<string, unknown>>();
    const values = Object.entries(declared.flags).map(([key, flag]) => [key, given[key] ?? flag.absent]);
    const flags: Record<string, unknown> = Object.fromEntries(values);
    const args = command.processedArgs.flat().filter((text): text is string => typeof text === "string");
    const isJson = flags["output"] === "json";
    const print = (objects: readonly object[], text: string) => {
      const lines = objects.map((object) => `${JSON.stringify(object)}\n`).join("");
      io.stdout.write(isJson ? lines : text);
    };
    return runReporting(io, () => declared.run({ io, args, flags, isJson, print }));
  });
}

function endOfHelp({ examples, notes }: Pick<ClientCommand, "examples" | "notes">): string {
  const lines = examples.map((example) => `  $ splitcache ${example}`);
  const parts = [
    ...(lines.length === 0 ? [] : [["Examples:", ...lines].join("\n")]),
    ...(notes === undefined ? [] : [notes]),
    "Exit codes: splitcache help exit-codes",
  ];
  return `\n${parts.join("\n\n")}`;
}

function optionOf(key: string, { short, placeholder, help, note, isRequired, parse }: Flag<unknown>): Option {
  const name = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const forms = [...(short === undefined ? [] : [short]), name].join(", ");
  const option = new Option(
    placeholder === undefined ? forms : `${forms} ${placeholder}`,
    note === undefined ? help : `${help.replace(/\.$/, "")} (${note}).`,
  );
  if (placeholder !== undefined) option.argParser((text) => (parse ?? String)(faithful(text)));
  return option.makeOptionMandatory(isRequired === true);
}

/** Runs a command and sets the exit code; a failure is one line on stderr. Never rejects. */
async function runReporting(io: CliIo, run: () => Promise<ExitCode>): Promise<void> {
  try {
    io.setExitCode(await run());
  } catch (failure) {
    // An interrupt makes other things fail, such as reading standard input.
    const error = io.signal.aborted
      ? new CliError(ExitCode.interrupted, "interrupted", failure)
      : describeFailure(failure);
    io.stderr.write(`splitcache: ${terminalText(withoutSecrets(error.message))}\n`);
    io.setExitCode(error.exitCode);
  }
}

function homeserverOf(flag: string | undefined, io: CliIo): string {
  const name = flag ?? io.env[HOMESERVER_VARIABLE] ?? "";
  if (name === "" || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new CliError(
      ExitCode.usage,
      `name the homeserver with --homeserver or ${HOMESERVER_VARIABLE}: 1 to ${NAME_BYTES_MAX} bytes`,
    );
  }
  // A flag was checked with all arguments.
  if (!isFaithful(name)) throw new CliError(ExitCode.usage, `${HOMESERVER_VARIABLE} ${NOT_UTF8}`);
  return name;
}
