import { type Command, Option } from "commander";
import { addExamples, addOutputOption, type OutputFlags, runCommand } from "../../client/client-command.js";
import { type Connection, connect } from "../../client/connection.js";
import { ADMIN_ADDRESS_HELP, adminAddress } from "../../client/default-address.js";
import type { ExitCode } from "../../exit-code.js";
import type { CliIo } from "../../io/cli-io.js";
import { parseDurationMs } from "../../io/duration.js";

/** A command of operators as it is declared. */
export interface AdminCommand {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  /** Positional arguments: `[level]`, each with its help. */
  readonly args?: Readonly<Record<string, string>>;
  /** Flags that take a text: `-H, --homeserver <name>`, each with its help. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Command lines without the program's name. */
  readonly examples: readonly string[];
  run(call: AdminCall): Promise<ExitCode>;
}

export interface AdminCall {
  readonly args: readonly string[];
  readonly flags: Readonly<Record<string, string | undefined>>;
  /** To the listener of operators. */
  readonly connection: Connection;
  readonly columns: number | undefined;
  /** Prints the result: with `-o json` one object a line, else the text. */
  print(objects: readonly object[], text: string): void;
}

interface AdminFlags extends OutputFlags {
  readonly address?: string;
  readonly timeout: number;
}

/** Adds a command to the group of operators' commands. */
export function addAdminCommand(group: Command, io: CliIo, declared: AdminCommand): void {
  const command = group.command(declared.name).summary(declared.summary).description(declared.description);
  for (const [form, help] of Object.entries(declared.args ?? {})) command.argument(form, help);
  command
    .option(
      "--address <address>",
      `the sidecar's admin listener: host:port or unix:path (${ADMIN_ADDRESS_HELP})`,
    )
    .addOption(
      new Option("--timeout <duration>", "how long one call may take")
        .argParser(parseDurationMs)
        .default(5000, "5s"),
    );
  for (const [form, help] of Object.entries(declared.flags ?? {})) command.option(form, help);
  addExamples(addOutputOption(command), declared.examples);
  command.action(() => {
    const flags = command.opts<AdminFlags & AdminCall["flags"]>();
    const address = flags.address ?? adminAddress(io.env);
    return runCommand(io, address, async () => {
      const connection = connect({ address, timeoutMs: flags.timeout, signal: io.signal });
      const args = command.processedArgs.filter((text): text is string => typeof text === "string");
      const print = (objects: readonly object[], text: string) => {
        const lines = objects.map((object) => `${JSON.stringify(object)}\n`).join("");
        io.stdout.write(flags.output === "json" ? lines : text);
      };
      try {
        return await declared.run({ args, flags, connection, columns: io.columns, print });
      } finally {
        connection.close();
      }
    });
  });
}
