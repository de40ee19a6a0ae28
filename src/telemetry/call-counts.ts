import type { Registry } from "prom-client";

/** Unary calls and requests on read streams of one service since the start. */
export interface CallCounts {
  readonly ended: number;
  readonly failed: number;
  /** Counts by upper bound in seconds, and those above the last bound. */
  readonly latency: { readonly bounds: readonly number[]; readonly counts: readonly number[] };
}

/** Reads what `observeCalls` has counted of a service's unary calls and requests on read streams. */
export async function readCallCounts(registry: Registry, service: string): Promise<CallCounts> {
  const isCounted = ({ labels }: MetricValue) =>
    labels["grpc_service"] === service &&
    (labels["grpc_type"] === "unary" || labels["grpc_type"] === "stream_request");
  const handled = (await valuesOf(registry, "grpc_server_handled_total")).filter(isCounted);
  const buckets = (await valuesOf(registry, "grpc_server_handling_seconds")).filter(isCounted);
  const sum = (values: readonly MetricValue[]) => values.reduce((sum, { value }) => sum + value, 0);
  return {
    ended: sum(handled),
    failed: sum(handled.filter(({ labels }) => labels["grpc_code"] !== "OK")),
    latency: latencyOf(buckets),
  };
}

interface MetricValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number | undefined>>;
}

async function valuesOf(registry: Registry, name: string): Promise<readonly MetricValue[]> {
  return (await registry.getSingleMetric(name)?.get())?.values ?? [];
}

/** A bucket of Prometheus counts all values up to its bound; here each value counts once. */
function latencyOf(values: readonly MetricValue[]): CallCounts["latency"] {
  const upTo = new Map<number, number>();
  for (const { labels, value } of values) {
    const { le } = labels;
    if (le === undefined) continue;
    const bound = le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
    upTo.set(bound, (upTo.get(bound) ?? 0) + value);
  }
  const all = [...upTo].sort(([one], [other]) => one - other);
  const counts = all.map(([, count], at) => count - (all[at - 1]?.[1] ?? 0));
  return { bounds: all.map(([bound]) => bound).filter(Number.isFinite), counts };
}
