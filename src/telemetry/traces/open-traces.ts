import type { CallTracer } from "../../rpc/calls/call-trace.js";
import type { Logger } from "../logger.js";

/** Traces that are on. */
export interface Traces {
  readonly tracer: CallTracer;
  /** Exports the spans that have ended. Takes 2 s at most, and not more than what is left, but for half a second. */
  stop(leftMs: number): Promise<void>;
}

export interface TracesDeps {
  readonly logger: Logger;
  /** Decides whether traces are on. The SDK itself reads the environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Whether spans name rooms and events. */
  readonly showsIds: boolean;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/**
 * Opens traces as the standard OTEL_… variables say. Undefined if they are off, which is the default: then no
 * module of the SDK is loaded. A wrong value never stops the sidecar: it is logged, and if spans cannot be
 * exported as configured, traces are off. That way no span goes where nobody asked for it.
 */
export async function openTraces(deps: TracesDeps): Promise<Traces | undefined> {
  const { logger, env } = deps;
  const exporters = exportersOf(env, logger);
  if (exporters.length === 0) return undefined;
  try {
    const { startSdk } = await import("./sdk.js");
    return await startSdk(exporters, deps);
  } catch (err) {
    if (!isNotInstalled(err))
      logger.error("traces are off: the OpenTelemetry SDK could not be started", { err });
    else
      logger.error(
        "traces are off: the OpenTelemetry SDK is not installed; install optional dependencies too",
      );
    return undefined;
  }
}

/** Where spans go: over OTLP, or into the log. */
export type ExporterName = (typeof EXPORTERS)[number];

const EXPORTERS = ["otlp", "console"] as const;
const ENDPOINTS = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/** The exporters that are asked for. The SDK's own default, OTLP to localhost, would be a connection that nobody configured. */
function exportersOf(env: TracesDeps["env"], logger: Logger): ExporterName[] {
  const given = (name: string) => (env[name] ?? "").trim();
  if (given("OTEL_SDK_DISABLED").toLowerCase() === "true") return [];
  const names = given("OTEL_TRACES_EXPORTER")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) return ENDPOINTS.some((endpoint) => given(endpoint) !== "") ? ["otlp"] : [];
  if (names.includes("none")) return [];
  for (const unknown of names.filter((name) => EXPORTERS.every((known) => known !== name))) {
    logger.error("OTEL_TRACES_EXPORTER has an unknown value, which is ignored: use otlp, console or none", {
      value: unknown,
    });
  }
  return EXPORTERS.filter((name) => names.includes(name));
}

function isNotInstalled(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND";
}
