// Cuts the sample under demo/ out of a full recorded corpus: a few whole rooms,
// and of the trace whatever concerns them, in its order. The same corpus always
// gives the same sample.
//
// Usage: node scripts/make-demo-trace.mjs <folder with events.jsonl.gz and trace.jsonl.gz>
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";

// Chosen so that every kind of line occurs, in few events.
const ROOMS = new Set([
  "!fwNGiqUJLehRGwrXwW:alpha.example", // version 10: redactions, censored later; its history purged
  "!EvteueSbJTthPkjXFP:alpha.example", // version 4: many redactions
  "!hgvwXTTJRdORmJCYkB:beta.example", // version 5: rejected and accepted again; a redaction before its target
  "!dblVqWwlCYUDwFCuQQ:beta.example", // version 3: outliers, an event that expires, redactions not honoured
  "!nrJjBLPwjNQXvIYAbI:beta.example", // version 1: purged as a whole
  "!poduhdQoyJiizEejOZ:alpha.example", // version 4: rejections
]);

// What a replay needs of an event; the other fields are findings about the corpus.
const EVENT_FIELDS = [
  "n",
  "event_id",
  "room_id",
  "room_version",
  "format_version",
  "json",
  "internal_metadata",
  "stream_ordering",
  "instance_name",
  "outlier",
  "rejected_reason",
  "redacted_by",
  "pruned_json",
  "purged",
  "json_at_persist",
];

const [corpusDir] = process.argv.slice(2);
if (corpusDir === undefined) throw new Error("name the folder of the corpus");
const demoDir = join(import.meta.dirname, "../demo");
mkdirSync(demoDir, { recursive: true });

const events = readLines("events.jsonl.gz").filter((event) => ROOMS.has(event.room_id));
const kept = new Set(events.flatMap(({ n, event_id }) => [n, event_id]));
writeLines(
  "events.jsonl.gz",
  events.map((event) => Object.fromEntries(EVENT_FIELDS.map((f) => [f, event[f]]))),
);
writeLines("trace.jsonl.gz", withoutIdleTime(readLines("trace.jsonl.gz").flatMap(cut)));

/** The part of a line that concerns the rooms, as a list of none or one. */
function cut(line) {
  if (line.op === "time" || line.op === "restart") return [line];
  if ("room_id" in line) return ROOMS.has(line.room_id) ? [line] : [];
  if (!("ids" in line)) return kept.has(line.n) ? [line] : [];
  const ids = line.ids.filter((id) => kept.has(id));
  return ids.length === 0 ? [] : [{ ...line, ids }];
}

/** Of times that nothing follows but another time or a restart, the last is enough. */
function withoutIdleTime(lines) {
  return lines.filter(
    ({ op }, index) => op !== "time" || !["time", undefined].includes(lines[index + 1]?.op),
  );
}

function readLines(name) {
  const text = gunzipSync(readFileSync(join(corpusDir, name))).toString();
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

function writeLines(name, lines) {
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const packed = gzipSync(text, { level: 9 });
  writeFileSync(join(demoDir, name), packed);
  console.log(`${name}: ${lines.length} lines, ${text.length} characters, ${packed.length} bytes packed`);
}
