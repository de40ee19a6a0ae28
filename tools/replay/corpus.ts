import { CliError, ExitCode } from "../../src/cli/exit-code.js";
import { parseJson } from "../../src/cli/io/parse-json.js";
import { type ReadProgress, readFileLines } from "../../src/cli/io/read-input.js";

/** One line of an events file: an event that the recorded homeserver stored. */
export interface CorpusEvent {
  /** The number of the stored event in the trace. An event that was purged and stored again has another number. */
  readonly n: number;
  readonly event_id: string;
  readonly room_id: string;
  readonly room_version: string;
  readonly format_version: number;
  /** The stored text at the end of the trace, or just before the event was purged. */
  readonly json: string;
  /** The stored text before it was rewritten (censored or expired); null if it was not. */
  readonly json_at_persist: string | null;
  /** The event as the homeserver redacts it. */
  readonly pruned_json: string;
  readonly internal_metadata: string;
  readonly instance_name: string;
  readonly stream_ordering: number;
  readonly outlier: boolean;
  readonly rejected_reason: string | null;
  readonly redacted_by: string | null;
  readonly purged: "history" | "room" | null;
}

/** The events of a corpus by their `n`. */
export type Corpus = ReadonlyMap<number, CorpusEvent>;

/** Reads an events file (.jsonl or .jsonl.gz). Unused fields are not checked. */
export async function readCorpus(path: string, onRead?: ReadProgress): Promise<Corpus> {
  const events = new Map<number, CorpusEvent>();
  for await (const { where, text } of readFileLines(path, { onRead })) {
    const event: CorpusEvent = parseJson(text, where);
    if (typeof event.n !== "number" || typeof event.json !== "string") {
      throw new CliError(ExitCode.usage, `${where}: not an event of a recorded corpus`);
    }
    events.set(event.n, event);
  }
  return events;
}
