import { type MetricFamilies, only } from "./metric-families.js";

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
