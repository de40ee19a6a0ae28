import { describe, expect, it } from "vitest";
import { example, hasHelm, ofKind, parseManifests, render } from "./chart.js";

describe.skipIf(!hasHelm)("the chart with TLS", () => {
  const AUTHENTICATED = ["-f", example("service-auth.yaml")];

  function objectsOf(...sets: readonly string[]) {
    return parseManifests(render(...AUTHENTICATED, ...sets.flatMap((value) => ["--set", value])));
  }

  it("scrapes over https with the token, the authority and the name of the certificate", () => {
    const objects = objectsOf();
    const names: unknown = ofKind(objects, "Certificate").spec.dnsNames;
    expect(ofKind(objects, "ServiceMonitor").spec.endpoints).toEqual([
      {
        port: "http-metrics",
        path: "/metrics",
        interval: "30s",
        scheme: "https",
        tlsConfig: {
          ca: { secret: { name: "cache-splitcache-tls", key: "ca.crt" } },
          serverName: "cache-splitcache.matrix.svc",
        },
        authorization: { credentials: { name: "splitcache-metrics", key: "token" } },
      },
    ]);
    expect(names).toContain("cache-splitcache.matrix.svc");
    const own = objectsOf("metrics.serviceMonitor.tlsConfig.serverName=other");
    expect(ofKind(own, "ServiceMonitor").spec.endpoints[0]?.tlsConfig?.serverName).toBe("other");
  });

  it("names no cleartext protocol", () => {
    const protocolsOf = (objects: ReturnType<typeof objectsOf>) =>
      ofKind(objects, "Service").spec.ports.map(({ appProtocol }) => appProtocol);
    expect(protocolsOf(objectsOf())).toEqual(["https", "https"]);
    expect(protocolsOf(parseManifests(render("-f", example("service-memory.yaml"))))).toEqual([
      "kubernetes.io/h2c",
      "http",
    ]);
  });

  it("mounts the Secret that cert-manager writes", () => {
    const text = render(...AUTHENTICATED);
    expect(ofKind(parseManifests(text), "Certificate").spec.secretName).toBe("cache-splitcache-tls");
    expect(text.match(/name: cache-splitcache-tls$/gm)).toHaveLength(3);
  });

  it("scrapes sidecars as their values say", () => {
    const values = ["-f", example("sidecar.yaml"), "--set"].concat(
      [
        ...["auth_file", "tls_cert_file", "tls_key_file"].flatMap((key) => [
          `secretFiles.${key}.secretName=s`,
          `secretFiles.${key}.key=${key}`,
        ]),
        "metrics.podMonitor.authorization.credentials.name=s",
        "metrics.podMonitor.authorization.credentials.key=token",
        "metrics.podMonitor.tlsConfig.serverName=sidecar",
      ].join(","),
    );
    expect(ofKind(parseManifests(render(...values)), "PodMonitor").spec.podMetricsEndpoints).toEqual([
      expect.objectContaining({
        scheme: "https",
        tlsConfig: { serverName: "sidecar" },
        authorization: { credentials: { name: "s", key: "token" } },
      }),
    ]);
  });
});
