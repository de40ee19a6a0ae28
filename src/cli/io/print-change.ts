import type { Position } from "../../gen/splitcache/v1/event_cache_service.js";
import type { OutputFlags } from "../client/client-command.js";
import type { CliIo } from "./cli-io.js";
import { formatPosition } from "./position-text.js";
import { formatPairs } from "./table.js";

/** Prints what a change led to: its outcome, if the call has one, and the position from which it holds. */
export function printChange(
  io: CliIo,
  flags: OutputFlags,
  change: { readonly outcome?: string; readonly position: Position | undefined },
): void {
  const { outcome } = change;
  const position = formatPosition(change.position);
  if (flags.output === "json") {
    io.stdout.write(`${JSON.stringify({ outcome, position })}\n`);
  } else {
    const pairs: [string, string][] = outcome === undefined ? [] : [["outcome", outcome]];
    io.stdout.write(formatPairs([...pairs, ["position", position]]));
  }
}
