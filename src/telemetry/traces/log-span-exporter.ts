import { type ExportResult, ExportResultCode, hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";
import type { Logger } from "../logger.js";

/**
 * Writes spans to the log, for OTEL_TRACES_EXPORTER=console. The SDK's own exporter writes to standard output,
 * where a reader that stops would stop the sidecar.
 */
export class LogSpanExporter implements SpanExporter {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      this.#logger.info("span", {
        name: span.name,
        trace_id: traceId,
        span_id: spanId,
        parent_span_id: span.parentSpanContext?.spanId,
        durationMs: hrTimeToMilliseconds(span.duration),
        ...span.attributes,
      });
    }
    done({ code: ExportResultCode.SUCCESS });
  }

  async shutdown(): Promise<void> {}
}
