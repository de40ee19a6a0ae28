import { type Position, SetOutcome } from "../../gen/splitcache/v1/event_cache_service.js";
import { parsed, text } from "../flags.js";
import type { CliIo } from "../io/cli-io.js";
import { formatPosition, outcomeName, parsePosition } from "../io/contract-text.js";
import { formatPairs, terminalText } from "../io/text.js";

/** What the commands that announce a change share. */

export const roomFlag = text("<id>", "Gives the room ID, if it is known.");

export const asOfFlag = parsed(
  "<position>",
  "Gives a position that was current before the change was read.",
  parsePosition,
  { note: "default: the current one" },
);

/** Says what the calls SetRedaction and SetRejected answer, for the help of `redact` and `reject`. */
export const OUTCOME_HELP =
  "Prints applied if the entry now shows the change, dropped if the entry was dropped and the next read " +
  "refills it, and absent if the cache held no entry. No older state is served in any case.";

const OUTCOME_TEXT: ReadonlyMap<string, string> = new Map([
  ["dropped", "dropped; the next read refills the entry"],
  ["absent", "absent; the cache held no entry"],
]);

/** The outcome of a change, if its call has one, and the position from which it holds. */
export function changeResult(change: {
  readonly outcome?: SetOutcome;
  readonly position: Position | undefined;
}): readonly [objects: readonly object[], text: string] {
  const outcome = change.outcome === undefined ? undefined : outcomeName(SetOutcome, change.outcome);
  const position = formatPosition(change.position);
  const pairs = outcome === undefined ? [] : [["outcome", OUTCOME_TEXT.get(outcome) ?? outcome] as const];
  return [[{ outcome, position }], formatPairs([...pairs, ["position", position]])];
}

/** Warns of IDs that no event or room can have, as a mistyped argument would; empty ones are not given. */
export function warnOfIds(io: CliIo, kind: "event" | "room", ...ids: readonly string[]): void {
  const sigil = kind === "event" ? "$" : "!";
  for (const id of ids.filter((id) => id !== "" && !id.startsWith(sigil))) {
    io.stderr.write(`warning: ${terminalText(id)} is not a ${kind} ID: ${kind} IDs begin with ${sigil}\n`);
  }
}
