import { status } from "@grpc/grpc-js";
import { Counter, Histogram, type Registry } from "prom-client";
import type { CallLabels, CallObserver } from "../rpc/calls/call-observer.js";

/** Upper bounds in seconds. Lookups take tens of microseconds; deadlines are a few seconds. */
const BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const STATUS_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(status).flatMap(([name, code]): [number, string][] =>
    typeof code === "number" ? [[code, name]] : [],
  ),
);

const LABEL_NAMES = ["grpc_type", "grpc_service", "grpc_method"] as const;
type MethodLabels = Record<(typeof LABEL_NAMES)[number], string>;

/** The counts of one method. A call only increments numbers; a scrape adds the labels. */
interface MethodCounts {
  readonly labels: MethodLabels;
  started: number;
  readonly handled: Map<number, number>;
  readonly seconds: Histogram.Internal<string>;
}

/** Registers the usual metrics of gRPC servers. Returns the observer that counts calls into them. */
export function observeCalls(registry: Registry): CallObserver {
  const methods = new Map<CallLabels, MethodCounts>();
  registerCounters(registry, methods);
  const seconds = new Histogram({
    name: "grpc_server_handling_seconds",
    help: "Duration of calls: unary calls from their headers until their reply was sent, requests on read streams (stream_request) from their arrival, streams until they ended",
    labelNames: LABEL_NAMES,
    buckets: BUCKETS,
    registers: [registry],
  });

  function countsOf(call: CallLabels): MethodCounts {
    let counts = methods.get(call);
    if (counts === undefined) {
      const labels = { grpc_type: call.type, grpc_service: call.service, grpc_method: call.method };
      counts = { labels, started: 0, handled: new Map(), seconds: seconds.labels(labels) };
      methods.set(call, counts);
    }
    return counts;
  }

  return {
    started: (call) => {
      countsOf(call).started += 1;
    },
    handled: (call, statusCode, elapsed) => {
      const counts = countsOf(call);
      counts.handled.set(statusCode, (counts.handled.get(statusCode) ?? 0) + 1);
      counts.seconds.observe(elapsed);
    },
  };
}

function registerCounters(registry: Registry, methods: ReadonlyMap<CallLabels, MethodCounts>): void {
  new Counter({
    name: "grpc_server_started_total",
    help: "Calls whose headers have arrived, and requests on read streams (stream_request)",
    labelNames: LABEL_NAMES,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, started } of methods.values()) this.inc(labels, started);
    },
  });
  new Counter({
    name: "grpc_server_handled_total",
    help: "Calls that have ended, by gRPC status code; a request on a read stream (stream_request) counts as a call",
    labelNames: [...LABEL_NAMES, "grpc_code"] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, handled } of methods.values()) {
        for (const [code, count] of handled) {
          this.inc({ ...labels, grpc_code: STATUS_NAMES.get(code) ?? String(code) }, count);
        }
      }
    },
  });
}
