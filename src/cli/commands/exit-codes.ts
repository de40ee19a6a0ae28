import { localCommand } from "../command.js";
import { EXIT_CODES, ExitCode } from "../exit-code.js";
import { formatPairs } from "../io/text.js";

const codes = Object.entries(EXIT_CODES);
const table = formatPairs(codes);

/** `exit-codes`: what each exit code means. */
export const exitCodes = localCommand({
  name: "exit-codes",
  summary: "Lists the exit codes of all commands",
  description:
    "Lists the exit codes of all commands. A second signal ends a process at once, with 128 plus the " +
    `number of the signal.\n\n${table.trimEnd()}`,
  flags: {},
  examples: ["exit-codes", "exit-codes -o json"],
  run: async ({ print }) => {
    print(
      codes.map(([code, meaning]) => ({ code: Number(code), meaning })),
      table,
    );
    return ExitCode.done;
  },
});
