import type { IncomingHttpHeaders } from "node:http2";
import {
  type Context,
  isSpanContextValid,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { JaegerPropagator } from "@opentelemetry/propagator-jaeger";
import type { CallLabels } from "../../rpc/calls/call-observer.js";
import type { CallTrace, CallTracer, TraceFacts } from "../../rpc/calls/call-trace.js";

export interface CallTracerOptions {
  readonly showsIds: boolean;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/**
 * Creates the tracer of calls. A span is made only when its call ends, with the time at which it began: until then
 * a call holds no more than its parent and its counts, and a call that is not sampled makes nothing else.
 */
export function createCallTracer(tracer: Tracer, options: CallTracerOptions): CallTracer {
  return {
    begin: (call, headers) => {
      // Probes come every few seconds and tell nothing about the cache.
      if (call.service !== TRACED_SERVICE) return undefined;
      const parent = parentOf(headers);
      if (call.type !== "bidi_stream") return new SpanTrace(tracer, options, { call, parent, links: [] });
      const remote = trace.getSpanContext(parent);
      // A collector refuses a whole export for one link that is not valid.
      const links = remote !== undefined && isSpanContextValid(remote) ? [{ context: remote }] : [];
      return new ReadStreamTrace(tracer, options, { call, parent: ROOT_CONTEXT, links });
    },
  };
}

interface Origin {
  readonly call: CallLabels;
  readonly parent: Context;
  readonly links: Link[];
}

class SpanTrace implements CallTrace {
  readonly showsIds: boolean;
  readonly #tracer: Tracer;
  readonly #options: CallTracerOptions;
  readonly #origin: Origin;
  readonly #startedAt: number;
  readonly #startedMs: number;
  readonly #facts: TraceFacts[] = [];
  #span: Span | undefined;
  #isEnded = false;

  constructor(tracer: Tracer, options: CallTracerOptions, origin: Origin) {
    this.showsIds = options.showsIds;
    this.#tracer = tracer;
    this.#options = options;
    this.#origin = origin;
    this.#startedAt = options.clock();
    this.#startedMs = options.wallClock();
  }

  note(facts: TraceFacts): void {
    if (!this.#isEnded) this.#facts.push(facts);
  }

  logFields(): Readonly<Record<string, string>> {
    const { traceId, spanId, traceFlags } = this.#started().spanContext();
    return (traceFlags & TraceFlags.SAMPLED) === 0 ? {} : { trace_id: traceId, span_id: spanId };
  }

  beginRequest(): CallTrace {
    return new SpanTrace(this.#tracer, this.#options, this.#origin);
  }

  end(statusCode: number): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const span = this.#started();
    if (!span.isRecording()) return;
    const { service, method } = this.#origin.call;
    span.setAttributes({
      "rpc.system": "grpc",
      "rpc.service": service,
      "rpc.method": method,
      "rpc.grpc.status_code": statusCode,
    });
    for (const facts of this.#facts) {
      for (const [name, value] of Object.entries(facts)) {
        span.setAttribute(`splitcache.${name}`, typeof value === "object" ? [...value] : value);
      }
    }
    if (SERVER_ERRORS.has(statusCode)) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(this.#startedMs + this.#options.clock() - this.#startedAt);
  }

  #started(): Span {
    const { call, parent, links } = this.#origin;
    this.#span ??= this.#tracer.startSpan(
      `${call.service}/${call.method}`,
      { kind: SpanKind.SERVER, startTime: this.#startedMs, links },
      parent,
    );
    return this.#span;
  }
}

/**
 * A read stream lasts as long as its client, so its requests have spans instead, each in a trace of its own: they
 * have nothing in common with the call that happened to open the stream, to which they are linked. The stream has
 * a span only if it fails.
 */
class ReadStreamTrace extends SpanTrace {
  override end(statusCode: number): void {
    if (statusCode !== OK && statusCode !== CANCELLED) super.end(statusCode);
  }
}

/** The span of the caller, as `traceparent` names it, else `uber-trace-id`. */
function parentOf(headers: IncomingHttpHeaders | undefined): Context {
  if (headers === undefined) return ROOT_CONTEXT;
  if (headers["traceparent"] !== undefined) {
    const context = W3C.extract(ROOT_CONTEXT, headers, GETTER);
    if (context !== ROOT_CONTEXT) return context;
  }
  return headers["uber-trace-id"] === undefined
    ? ROOT_CONTEXT
    : JAEGER.extract(ROOT_CONTEXT, headers, GETTER);
}

const W3C = new W3CTraceContextPropagator();
const JAEGER = new JaegerPropagator();

/** Without keys no baggage is read, which nothing here uses. */
const GETTER: TextMapGetter<IncomingHttpHeaders> = {
  get: (headers, name) => headers[name],
  keys: () => [],
};

const TRACED_SERVICE = "splitcache.v1.EventCacheService";
const OK = 0;
const CANCELLED = 1;
/** The status codes that the conventions for RPC count as errors of a server. */
const SERVER_ERRORS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);
