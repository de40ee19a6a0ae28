import type { ConnectionUsage } from "../net/connection-table.js";
import { type MetricFamilies, only } from "./metric-families.js";

/** The connections of each kind of listener, read at each scrape. */
export type ConnectionSources = Readonly<Record<string, { usage(): ConnectionUsage }>>;

/** Registers the number of open connections, their limits, and the reasons why connections ended. */
export function registerConnectionMetrics(families: MetricFamilies, sources: ConnectionSources): void {
  const listeners = Object.entries(sources);
  families.gauge("splitcache_connections", "Open connections, by kind of listener", ["listener"], () =>
    listeners.map(([listener, table]) => [[listener], table.usage().open]),
  );
  families.gauge(
    "splitcache_connections_max",
    "Limit of open connections, by kind of listener; for gRPC derived from the limits of calls and of open files",
    ["listener"],
    () => listeners.map(([listener, table]) => [[listener], table.usage().max]),
  );
  families.counter(
    "splitcache_connections_closed_total",
    "Connections that ended, by reason: peer (the peer closed it or it broke), idle (no call for --connection-idle-timeout), silent (no HTTP/2 preface within 5 s), displaced (idle, closed at the limit for a new connection), refused (at the limit, while all connections carried calls), drained (at shutdown)",
    ["listener", "reason"],
    function* () {
      for (const [listener, table] of listeners) {
        for (const [reason, count] of Object.entries(table.usage().closed)) yield [[listener, reason], count];
      }
    },
  );
}

/** Registers when the server certificate expires. */
export function registerTlsMetrics(
  families: MetricFamilies,
  source: { expiresMs(): number | undefined },
): void {
  families.gauge(
    "splitcache_tls_certificate_expiry_seconds",
    "When the server certificate expires, in seconds since 1970; no series without TLS",
    [],
    () => {
      const expiresMs = source.expiresMs();
      return expiresMs === undefined ? [] : only(expiresMs / 1000);
    },
  );
}
