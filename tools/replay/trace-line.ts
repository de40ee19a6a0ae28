import { CliError, ExitCode } from "../../src/cli/exit-code.js";
import { parseJson } from "../../src/cli/io/parse-json.js";
import { type ReadProgress, readFileLines } from "../../src/cli/io/read-input.js";

/** A reference to an event: `n` of the corpus, or the event ID if the event was not stored then. */
export type TraceId = number | string;

/** A line that changed the recorded homeserver's database. */
export type WriteLine =
  | {
      readonly op: "persist";
      readonly n: number;
      readonly event_id: string;
      readonly txn: number;
      readonly stream_ordering: number;
      readonly outlier?: boolean;
      readonly rejected?: string;
    }
  | {
      readonly op: "redact";
      readonly room_id: string;
      /** The event to be redacted. */
      readonly event_id: string;
      readonly redacted_by: string;
      /** Whether the homeserver honours it; null if it never saw the event. */
      readonly valid: boolean | null;
    }
  | { readonly op: "outlier"; readonly event_id: string; readonly outlier: boolean; readonly txn: number }
  | { readonly op: "reject" | "unreject"; readonly event_id: string; readonly reason: string | null }
  | { readonly op: "censor" | "expire"; readonly event_id: string }
  | {
      readonly op: "purge_history";
      readonly room_id: string;
      readonly event_ids: readonly string[];
      readonly now_outliers: readonly string[];
    }
  | { readonly op: "purge_room"; readonly room_id: string };

/** A read of events: all requested events (`get`), or only events that the worker's own cache lacked (`fetch`). */
export interface ReadLine {
  readonly op: "get" | "fetch";
  readonly ids: readonly TraceId[];
}

export interface RestartLine {
  readonly op: "restart";
}

export interface PassedOverLine {
  readonly op: IgnoredOp;
}

export type TraceLine = WriteLine | ReadLine | RestartLine | PassedOverLine;

/** The kinds of lines that a replay skips, with the reasons. */
export const IGNORED_OPS = {
  time: "the recorded clock: a replay runs as fast as it can",
  invalidate:
    "an invalidation of the homeserver's own cache; incomplete, and every cause has a line of its own",
  have_seen: "asks whether an event is stored, which only a database may answer",
} as const;

export type IgnoredOp = keyof typeof IGNORED_OPS;

const KNOWN_OPS: ReadonlySet<string> = new Set<TraceLine["op"]>([
  ...(["persist", "redact", "outlier", "reject", "unreject", "censor", "expire"] as const),
  ...(["purge_history", "purge_room", "get", "fetch", "restart"] as const),
  ...(["time", "invalidate", "have_seen"] as const),
]);

/** Reads a trace (.jsonl or .jsonl.gz). A line of unknown kind is an error. */
export async function* readTrace(path: string, onRead?: ReadProgress): AsyncGenerator<TraceLine> {
  for await (const { where, text } of readFileLines(path, { onRead })) {
    const line: TraceLine = parseJson(text, where);
    if (!KNOWN_OPS.has(line.op)) {
      throw new CliError(ExitCode.usage, `${where}: unknown operation ${line.op}`);
    }
    yield line;
  }
}
