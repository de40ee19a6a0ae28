import type { IncomingHttpHeaders } from "node:http2";
import type { Metadata } from "@grpc/grpc-js";
import type { CallLabels } from "./call-observer.js";

/** What a span says of a call, by name: names and counts. IDs of rooms and events only if `showsIds`. */
export type TraceFacts = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** Records calls as spans. Servers without traces have none. */
export interface CallTracer {
  /** Starts the trace of a call at its headers. Undefined for a call that is not traced. */
  begin(call: CallLabels, headers: IncomingHttpHeaders | undefined): CallTrace | undefined;
}

/** The trace of one call, or of one request of a read stream. */
export interface CallTrace {
  /** Whether facts may contain IDs of rooms and events. */
  readonly showsIds: boolean;
  note(facts: TraceFacts): void;
  /** The fields that connect a log line with the span; empty if the span is not sampled. */
  logFields(): Readonly<Record<string, string>>;
  /** Starts the trace of a request that has arrived on this stream. */
  beginRequest(): CallTrace;
  /** The call has ended. Later calls have no effect. */
  end(statusCode: number): void;
}

/** Passes a call's trace to its handler in the call's metadata: grpc-js passes on nothing else. */
export function setTrace(metadata: Metadata, trace: CallTrace): void {
  metadata.setOpaque(TRACE_KEY, trace);
}

/** The trace of a call; undefined if it is not traced. */
export function traceOf(metadata: Metadata): CallTrace | undefined {
  // Only `setTrace` sets it.
  return metadata.getOpaque(TRACE_KEY) as CallTrace | undefined;
}

const TRACE_KEY = "splitcache.trace";
