import { join } from "node:path";
import process from "node:process";
import { getHeapStatistics } from "node:v8";
import { abortScope } from "../../src/cli/client/abort.js";
import { askPosition } from "../../src/cli/client/calls.js";
import { connect, type SidecarConnection } from "../../src/cli/client/connection.js";
import { formatPairs } from "../../src/cli/io/text.js";
import { follow } from "../../src/client/follow.js";
import { startServer } from "../../src/compose.js";
import { formatListenAddress } from "../../src/config/address.js";
import { parseConfig } from "../../src/config/parse-config.js";
import { standardErrorWriter } from "../../src/process/standard-error.js";
import { LineOutput } from "../../src/telemetry/line-output.js";
import { createLogger } from "../../src/telemetry/logger.js";
import { ChangeObserver, formatChange, type ObservedChange } from "../replay/change-observer.js";
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
  /** Prints one or more lines, without the last line feed. */
  readonly print: (text: string) => void;
  /** Ends the demo early. */
  readonly signal: AbortSignal;
}

const HOMESERVER = "demo.example";
const CALL_TIMEOUT_MS = 10_000;
const HEAP_LIMIT_BYTES = getHeapStatistics().heap_size_limit;
/** Changes of each kind that are printed; further changes are counted. */
const CHANGES_PRINTED = 3;

/**
 * Starts a sidecar on a real socket, a worker that replays a recorded trace and
 * checks every reply, another worker that reads before and after each change, and a
 * subscriber. Prints the results. Returns whether all replies and notices were
 * correct.
 */
export async function runDemo({ sampleDir, print, signal }: DemoOptions): Promise<boolean> {
  const server = await startSidecar();
  const ended = abortScope(signal);
  const address = server.addresses.map(formatListenAddress)[0] ?? "";
  const worker = connect({
    address,
    timeoutMs: CALL_TIMEOUT_MS,
    signal: ended.signal,
    security: { tls: undefined, token: undefined },
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
    logger: createLogger({ level: "warn", to: new LineOutput(standardErrorWriter()) }),
    version: "demo",
    nodeVersion: process.version,
    pid: process.pid,
    env: {},
    heapLimitBytes: HEAP_LIMIT_BYTES,
  });
}

async function demonstrate(worker: SidecarConnection, sampleDir: string, print: Print): Promise<boolean> {
  const corpus = await readCorpus(join(sampleDir, "events.jsonl.gz"));
  const rooms = new Set(Array.from(corpus.values(), (event) => event.room_id));
  print(`A sidecar is running at ${worker.address}. A worker replays a homeserver's trace`);
  print(`of ${corpus.size} events in ${rooms.size} rooms, and a subscriber follows the log.\n`);

  const subscription = { homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "demo" };
  const subscriber = new NoticeCollector(follow(worker.client, { ...subscription, signal: worker.signal }));
  const start = await subscriber.until();
  const observer = new ChangeObserver(worker, HOMESERVER);
  const trace = readTrace(join(sampleDir, "trace.jsonl.gz"));
  const report = await replay(worker, new TraceDatabase(corpus), trace, {
    homeserver: HOMESERVER,
    reads: "get",
    concurrency: 8,
    check: true,
    redactedBodies: "made",
    observer,
  });
  const end = await subscriber.until(await askPosition(worker, HOMESERVER));

  printChanges(observer.changes, print);
  print(`The worker\n\n${formatReport(report)}`);
  const isComplete = printNotices(subscriber, end.sequence - start.sequence, print);
  return printMismatches(report, print) && isComplete;
}

/** Prints the first changes of each kind, and the counts. */
function printChanges(changes: readonly ObservedChange[], print: Print): void {
  const counts = new Tally();
  print("Changes, with a read before and after each\n");
  for (const observed of changes) {
    const { change } = observed;
    const kind = change.kind === "invalidated" ? change.cause : change.kind;
    counts.add(kind);
    if (counts.of(kind) <= CHANGES_PRINTED) print(formatChange(observed));
  }
  print(`Total: ${counts}.\n`);
}

/** Prints the notices. Returns whether the subscriber received every sequence number once, in order. */
function printNotices({ notices, resets }: NoticeCollector, expected: bigint, print: Print): boolean {
  const kinds = new Tally();
  for (const { change } of notices) kinds.add(change?.$case ?? "unknown");
  const first = notices[0]?.sequence ?? 0n;
  const gapless = notices.every(({ sequence }, index) => sequence === first + BigInt(index));
  const complete = gapless && resets === 0 && BigInt(notices.length) === expected;
  const verdict = complete ? "every sequence number once, in order" : `NOT COMPLETE, expected ${expected}`;
  print("\nThe subscriber\n");
  print(
    formatPairs([
      ["notices", `${notices.length}: ${verdict}`],
      ["by kind", kinds.toString()],
    ]),
  );
  return complete;
}

/** Prints the mismatches. Returns whether every reply was correct. */
function printMismatches(report: ReplayReport, print: Print): boolean {
  for (const mismatch of report.mismatchDescriptions) print(`MISMATCH: ${mismatch}`);
  const verdict =
    report.mismatches === 0 ? "Every reply matched" : `${report.mismatches} events DID NOT match`;
  print(`${verdict} the recorded homeserver's database.`);
  return report.mismatches === 0;
}
