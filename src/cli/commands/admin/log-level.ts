import { AdminServiceService as Calls, LogLevel } from "../../../gen/splitcache/admin/v1/admin_service.js";
import { adminCommand } from "../../command.js";
import { CliError, ExitCode } from "../../exit-code.js";
import { outcomeName } from "../../io/contract-text.js";

const LEVELS = Object.entries(LogLevel)
  .filter(([, level]) => level !== LogLevel.UNSPECIFIED)
  .map(([name, level]) => [name.toLowerCase(), level] as const);
const NAMES = LEVELS.map(([name]) => name).join(", ");

/** `admin log-level`: the level of the sidecar's log. */
export const logLevel = adminCommand({
  name: "log-level",
  summary: "Shows or sets the level of the sidecar's log",
  description:
    "Shows the least severe level of log lines that are written, or sets it until the sidecar ends.",
  args: { "[level]": `The level to set: ${NAMES}.` },
  flags: {},
  examples: ["admin log-level", "admin log-level debug"],
  run: async ({ args: [name], connection, print }) => {
    if (name === undefined) {
      const reply = await connection.call(Calls.getLogLevel, {});
      const level = outcomeName(LogLevel, reply.logLevel);
      print([{ level }], `${level}\n`);
      return ExitCode.done;
    }
    const [level, value] = LEVELS.find(([known]) => known === name) ?? [];
    if (level === undefined || value === undefined) {
      throw new CliError(ExitCode.usage, `level ${name}: expected one of ${NAMES}`);
    }
    const reply = await connection.call(Calls.setLogLevel, { logLevel: value });
    const previous = outcomeName(LogLevel, reply.previousLogLevel);
    print([{ level, previous }], `${level} (before: ${previous})\n`);
    return ExitCode.done;
  },
});
