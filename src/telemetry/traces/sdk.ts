import { DiagLogLevel, diag } from "@opentelemetry/api";
import { getNumberFromEnv, getStringFromEnv, setGlobalErrorHandler } from "@opentelemetry/core";
import {
  defaultResource,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  SimpleSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { createCallTracer } from "./call-tracer.js";
import { LogSpanExporter } from "./log-span-exporter.js";
import type { ExporterName, Traces, TracesDeps } from "./open-traces.js";
import { SdkReports } from "./sdk-reports.js";

/**
 * Starts the parts of the OpenTelemetry SDK that traces need. They read the OTEL_… variables themselves; this
 * module adds what they leave open: it bounds the queue, refuses an endpoint that they would replace by their
 * default, and sends what they report to the log. Nothing is registered globally but the diagnostics.
 */
export async function startSdk(
  exporters: readonly ExporterName[],
  deps: TracesDeps,
): Promise<Traces | undefined> {
  const { logger } = deps;
  const reports = new SdkReports(logger);
  const report = (logLevel: DiagLogLevel) =>
    diag.setLogger(reports, { logLevel, suppressOverrideMessage: true });
  setGlobalErrorHandler((failure) => reports.exportFailed(failure));
  // Wrong resource attributes are reported at this level alone.
  report(DiagLogLevel.DEBUG);
  const resource = reports.withDebug(() => resourceOf(deps));
  report(DiagLogLevel.WARN);
  const processors: SpanProcessor[] = [];
  if (exporters.includes("console")) processors.push(new SimpleSpanProcessor(new LogSpanExporter(logger)));
  if (exporters.includes("otlp")) {
    const problem = endpointProblem();
    if (problem === undefined) {
      processors.push(new BatchSpanProcessor(await otlpExporter(), batchLimits(reports)));
    } else logger.error("spans are not exported over OTLP: correct the variable", problem);
  }
  if (processors.length === 0) return undefined;
  const provider = new BasicTracerProvider({ resource, spanProcessors: processors });
  logger.info("traces are on", { exporters });
  return {
    tracer: createCallTracer(provider.getTracer("splitcache", deps.version), deps),
    stop: (leftMs) => flush(provider, Math.min(Math.max(leftMs, FLUSH_MS_MIN), FLUSH_MS_MAX), reports),
  };
}

/** A collector nearby takes a full queue in much less, and a collector that hangs must not hold up the end of the process. */
const FLUSH_MS_MAX = 2000;
/** Also when calls took all of the shutdown timeout: their spans are the ones to look at. */
const FLUSH_MS_MIN = 500;

async function flush(provider: BasicTracerProvider, limitMs: number, reports: SdkReports): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      reports.flushTimedOut(limitMs);
      resolve();
    }, limitMs);
  });
  const flushed = provider.shutdown().catch((failure: unknown) => reports.exportFailed(failure));
  await Promise.race([flushed, timeout]);
  clearTimeout(timer);
  reports.stop();
}

const PROTOCOL_VARIABLES = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const ENDPOINT_VARIABLES = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS = ["http/protobuf", "http/json", "grpc"];

/** The first of these variables that has a value. */
function firstGiven(variables: readonly string[]): { variable: string; value: string } | undefined {
  for (const variable of variables) {
    const value = getStringFromEnv(variable)?.trim();
    if (value !== undefined) return { variable, value };
  }
  return undefined;
}

/** The SDK replaces a wrong endpoint or protocol by a default, and spans would go somewhere else. */
function endpointProblem(): Record<string, string> | undefined {
  const protocol = firstGiven(PROTOCOL_VARIABLES);
  if (protocol !== undefined && !PROTOCOLS.includes(protocol.value)) {
    return { ...protocol, problem: `must be ${PROTOCOLS.join(", ")}` };
  }
  const endpoint = firstGiven(ENDPOINT_VARIABLES);
  if (endpoint === undefined || isEndpoint(endpoint.value, protocol?.value === "grpc")) return undefined;
  // Not shown: it may have a password.
  return { variable: endpoint.variable, problem: "must be a URL that begins with http:// or https://" };
}

function isEndpoint(text: string, isGrpc: boolean): boolean {
  const url = isGrpc && !text.includes("://") ? `https://${text}` : text;
  return URL.canParse(url) && ["http:", "https:"].includes(new URL(url).protocol);
}

/** Only the exporter in use is loaded. */
async function otlpExporter(): Promise<SpanExporter> {
  switch (firstGiven(PROTOCOL_VARIABLES)?.value) {
    case "grpc": {
      const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-grpc");
      return new OTLPTraceExporter();
    }
    case "http/json": {
      const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
      return new OTLPTraceExporter();
    }
    default: {
      const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-proto");
      return new OTLPTraceExporter();
    }
  }
}

/** The SDK takes any number: without spans in a batch it would loop for ever, and a huge queue is unbounded. */
const BATCH_LIMITS = [
  { key: "maxQueueSize", variable: "OTEL_BSP_MAX_QUEUE_SIZE", max: 65_536 },
  { key: "maxExportBatchSize", variable: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", max: 65_536 },
  { key: "scheduledDelayMillis", variable: "OTEL_BSP_SCHEDULE_DELAY", max: 600_000 },
  { key: "exportTimeoutMillis", variable: "OTEL_BSP_EXPORT_TIMEOUT", max: 600_000 },
] as const;
const BATCH_DEFAULTS = {
  maxQueueSize: 2048,
  maxExportBatchSize: 512,
  scheduledDelayMillis: 5000,
  exportTimeoutMillis: 30_000,
};

/** The limits of the queue that have wrong values, with the defaults in their place. The SDK reads the others. */
function batchLimits(reports: SdkReports): Partial<typeof BATCH_DEFAULTS> {
  const corrected: Partial<typeof BATCH_DEFAULTS> = {};
  for (const { key, variable, max } of BATCH_LIMITS) {
    const value = getNumberFromEnv(variable);
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= max)) continue;
    corrected[key] = BATCH_DEFAULTS[key];
    reports.warn(`${variable} must be an integer from 1 to ${max}; ${BATCH_DEFAULTS[key]} is used`);
  }
  return corrected;
}

/** Who sends the spans. No detector looks at the host or the command line, which may have secrets. */
function resourceOf({ version }: TracesDeps): Resource {
  const { attributes } = envDetector.detect();
  const own = { "service.name": "splitcache", "service.version": version };
  return defaultResource().merge(resourceFromAttributes({ ...own, ...attributes }));
}
