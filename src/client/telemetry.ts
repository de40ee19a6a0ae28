import type { Metadata } from "@grpc/grpc-js";

export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** The part of a span that this library uses. */
export interface CallSpan {
  /** Adds the trace's context to the headers of a call. */
  inject(metadata: Metadata): void;
  end(attributes: Attributes, error?: Error): void;
}

/** Starts the span of a call. */
export type StartSpan = (name: string) => CallSpan;

const SILENT: CallSpan = { inject: () => undefined, end: () => undefined };

/** Makes spans with `@opentelemetry/api` if the application has it. */
export async function loadTelemetry(attributes: Attributes): Promise<StartSpan> {
  const api = await import("@opentelemetry/api").catch(() => undefined);
  if (api === undefined) return () => SILENT;
  const tracer = api.trace.getTracer("@splitcache/client");
  return (name) => {
    const span = tracer.startSpan(name, { kind: api.SpanKind.CLIENT, attributes });
    if (!span.isRecording() && !api.trace.getActiveSpan()) return SILENT;
    return {
      inject: (metadata) => {
        const context = api.trace.setSpan(api.context.active(), span);
        api.propagation.inject(context, metadata, { set: (carrier, key, value) => carrier.set(key, value) });
      },
      end: (ended, error) => {
        span.setAttributes(ended);
        if (error !== undefined) span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message });
        span.end();
      },
    };
  };
}
