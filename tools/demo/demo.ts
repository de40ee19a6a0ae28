import { join } from "node:path";
import process from "node:process";
import { getHeapStatistics } from "node:v8";
import { abortScope } from "../../src/cli/client/abort.js";
import { askPosition } from "../../src/cli/client/calls.js";
import { type Connection, connect } from "../../src/cli/client/connection.js";
import { follow } from "../../src/cli/client/follow.js";
import { formatPairs } from "../../src/cli/io/text.js";
import { startServer } from "../../src/compose.js";
import { formatListenAddress } from "../../src/config/address.js";
import { parseConfig } from "../../src/config/parse-config.js";
import { standardErrorWriter } from "../../src/process/standard-error.js";
import { LineOutput } from "../../src/telemetry/line-output.js";
import { createLog } from "../../src/telemetry/log.js";
import { type ChangeStory, ChangeWitness, storyText } from "../replay/change-story.js";
import { readCorpus } from "../replay/corpus.js";
import { replay } from "../replay/replay.js";
import { type ReplayReport, Tally } from "../replay/replay-report.js";
import { formatReport } from "../replay/report-text.js";
import { TraceDatabase } from "../replay/trace-database.js";
import { readTrace } from "../replay/trace-line.js";
import { NoticeCollector } from "./notice-collector.js";

export interface DemoOptions {
  /** The folder that holds the recorded `events.jsonl.gz` and `trace.jsonl.gz`. */
  readonly sampleDir: string;
  /** Takes the text for people, a line or several at a time, without the last line feed. */
  readonly print: (text: string) => void;
  /** Ends the demo early. */
  readonly signal: AbortSignal;
}

const HOMESERVER = "demo.example";
const CALL_TIMEOUT_MS = 10_000;
const HEAP_LIMIT_BYTES = getHeapStatistics().heap_size_limit;
/** Of each kind of change so many are told in full; the others are counted. */
const STORIES_TOLD = 3;

/**
 * Starts a sidecar on a real socket, with a worker that replays a recorded trace
 * and checks every reply, another worker that reads before and after each
 * change, and a subscriber; prints what happened. Returns whether everything
 * was as it must be.
 */
export async function runDemo({ sampleDir, print, signal }: DemoOptions): Promise<boolean> {
  const server = await startSidecar();
  const ended = abortScope(signal);
  const address = server.addresses.map(formatListenAddress)[0] ?? "";
  const worker = connect({
    address,
    timeoutMs: CALL_TIMEOUT_MS,
    signal: ended.signal,
  });
  try {
    return await demonstrate(worker, sampleDir, print);
  } finally {
    ended.end();
    worker.close();
    await server.stop();
  }
}

type Print = DemoOptions["print"];

function startSidecar() {
  const flags = new Map([
    ["listen", ["127.0.0.1:0"]],
    ["http", ["off"]],
  ]);
  const sources = { flags: { texts: flags, unknown: [] }, environment: {}, file: undefined };
  return startServer(parseConfig({ ...sources, memoryLimitBytes: undefined }).config, {
    log: createLog({ level: "warn", to: new LineOutput(standardErrorWriter()) }),
    version: "demo",
    nodeVersion: process.version,
    pid: process.pid,
    env: {},
    heapLimitBytes: HEAP_LIMIT_BYTES,
  });
}

async function demonstrate(worker: Connection, sampleDir: string, print: Print): Promise<boolean> {
  const corpus = await readCorpus(join(sampleDir, "events.jsonl.gz"));
  const rooms = new Set(Array.from(corpus.values(), (event) => event.room_id));
  print(`A sidecar serves at ${worker.address}. A worker replays what a homeserver did`);
  print(`with ${corpus.size} events of ${rooms.size} rooms, while a subscriber watches.\n`);

  const subscription = { homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "demo" };
  const subscriber = new NoticeCollector(follow(worker, { ...subscription, random: Math.random }));
  const start = await subscriber.until();
  const witness = new ChangeWitness(worker, HOMESERVER);
  const trace = readTrace(join(sampleDir, "trace.jsonl.gz"));
  const report = await replay(worker, new TraceDatabase(corpus), trace, {
    homeserver: HOMESERVER,
    reads: "get",
    concurrency: 8,
    check: true,
    redactedBodies: "made",
    observer: witness,
  });
  const end = await subscriber.until(await askPosition(worker, HOMESERVER));

  tellStories(witness.stories, print);
  print(`What the worker did\n\n${formatReport(report)}`);
  const isComplete = tellNotices(subscriber, end.sequence - start.sequence, print);
  return tellMismatches(report, print) && isComplete;
}

/** The first stories of each kind, and how many there were. */
function tellStories(stories: readonly ChangeStory[], print: Print): void {
  const told = new Tally();
  print("What changed, and what a read gave before and after\n");
  for (const story of stories) {
    const kind = story.change.kind === "invalidated" ? story.change.cause : story.change.kind;
    told.add(kind);
    if (told.of(kind) <= STORIES_TOLD) print(storyText(story));
  }
  print(`In all: ${told}.\n`);
}

/** Whether the subscriber saw every sequence number once, in order. */
function tellNotices({ notices, resets }: NoticeCollector, expected: bigint, print: Print): boolean {
  const kinds = new Tally();
  for (const { change } of notices) kinds.add(change?.$case ?? "unknown");
  const first = notices[0]?.sequence ?? 0n;
  const gapless = notices.every(({ sequence }, index) => sequence === first + BigInt(index));
  const complete = gapless && resets === 0 && BigInt(notices.length) === expected;
  const verdict = complete
    ? "every sequence number once, in order"
    : `NOT COMPLETE, ${expected} were to come`;
  print("\nWhat the subscriber saw\n");
  print(
    formatPairs([
      ["notices", `${notices.length}: ${verdict}`],
      ["by kind", kinds.toString()],
    ]),
  );
  return complete;
}

/** Whether every reply was right. */
function tellMismatches(report: ReplayReport, print: Print): boolean {
  for (const mismatch of report.mismatchesTold) print(`MISMATCH: ${mismatch}`);
  const verdict =
    report.mismatches === 0 ? "Every reply agreed" : `${report.mismatches} events DID NOT agree`;
  print(`${verdict} with the recorded homeserver's database.`);
  return report.mismatches === 0;
}
