import { InvalidArgumentError } from "commander";
import { abortableDelay } from "../client/abort.js";
import { defaultHttpAddress, HTTP_ADDRESS_HELP, parseHttpAddress } from "../client/address.js";
import { describeFailure } from "../client/describe-failure.js";
import { fetchPage } from "../client/fetch-page.js";
import { securityFlags, securityOf } from "../client/security.js";
import { readStatus, type Status } from "../client/status.js";
import { localCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { duration, parsed } from "../flags.js";
import type { CliIo } from "../io/cli-io.js";
import { statusLines } from "../io/status-text.js";
import { terminalText } from "../io/text.js";

const ITERATIONS_MAX = 1_000_000_000;

/** `top`: the state of the sidecar, again and again. */
export const top = localCommand({
  name: "top",
  summary: "Shows the state of the sidecar, and refreshes",
  description:
    "Reads the sidecar's /status.json over HTTP and shows hit rate, latency, memory, log, changes, homeservers " +
    "and subscribers. On a terminal it refreshes one screen until it is interrupted; elsewhere it prints one " +
    "sample after another. The sidecar takes a sample every 5 s.",
  flags: {
    http: parsed("<address>", "Names the HTTP listener: host:port or http://host:port.", parseHttpAddress, {
      note: HTTP_ADDRESS_HELP,
    }),
    iterations: parsed("<count>", "Ends after this many samples.", parseIterations, { short: "-n" }),
    interval: duration("Sets the time between two samples.", "5s"),
    timeout: duration("Limits the time of one request.", "5s"),
    ...securityFlags,
  },
  examples: ["top", "top -n 1", "top -o json -n 12 --interval 5s"],
  run: async ({ io, flags, isJson, print }) => {
    const { timeout: timeoutMs, iterations = Number.POSITIVE_INFINITY, interval } = flags;
    const address = flags.http ?? defaultHttpAddress(io.env);
    const security = securityOf(flags, io.env);
    const request = { address, path: "/status.json", timeoutMs, signal: io.signal, security };
    const read = async () => readStatus((await fetchPage(request)).text);
    const first = await read();
    if (io.columns === undefined || isJson) {
      const show = (status: Status) =>
        print([status.figures], `${statusLines(status, undefined).join("\n")}\n\n`);
      show(first);
      for (let count = 1; count < iterations; count += 1) {
        await abortableDelay(interval, io.signal);
        if (io.signal.aborted) break;
        show(await read());
      }
    } else await refreshScreen(io, { first, read, iterations, interval });
    return ExitCode.done;
  },
});

interface ScreenOptions {
  readonly first: Status;
  readonly read: () => Promise<Status>;
  readonly iterations: number;
  readonly interval: number;
}

/** Draws on the alternate screen, so that the terminal is as before when the command ends. */
async function refreshScreen(io: CliIo, { first, read, iterations, interval }: ScreenOptions): Promise<void> {
  let status = first;
  let problem = "";
  const draw = () => void io.stdout.write(screenText(io, status, problem));
  io.stdout.write(ENTER_SCREEN);
  io.stdout.on("resize", draw);
  try {
    draw();
    for (let count = 1; count < iterations; count += 1) {
      await abortableDelay(interval, io.signal);
      if (io.signal.aborted) return;
      try {
        status = await read();
        problem = "";
      } catch (failure) {
        problem = describeFailure(failure).message;
      }
      draw();
    }
  } finally {
    io.stdout.off("resize", draw);
    io.stdout.write(LEAVE_SCREEN);
  }
}

function screenText({ columns, rows = ROWS_UNLESS_KNOWN }: CliIo, status: Status, problem: string): string {
  const lines = statusLines(status, columns);
  if (problem !== "") lines.splice(1, 0, terminalText(`These figures are old: ${problem}`).slice(0, columns));
  const shown = lines.slice(0, Math.max(1, rows - 1)).map((line) => `${line}${CLEAR_LINE}\n`);
  return `${HOME}${shown.join("")}${CLEAR_BELOW}`;
}

const ENTER_SCREEN = "\u001b[?1049h\u001b[?25l";
const LEAVE_SCREEN = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";
const ROWS_UNLESS_KNOWN = 24;

function parseIterations(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= ITERATIONS_MAX) return count;
  throw new InvalidArgumentError(`Expected a whole number from 1 to ${ITERATIONS_MAX}.`);
}
