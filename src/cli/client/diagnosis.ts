import { type ServiceError, status } from "@grpc/grpc-js";
import { describeFailure } from "./describe-failure.js";
import type { Probe, Protocol } from "./probe.js";

/** What a check of `splitcache doctor` found. */
export interface Finding {
  readonly check: string;
  readonly result: "ok" | "warning" | "failed" | "skipped";
  readonly message: string;
  /** What to do; empty if nothing needs to be done. */
  readonly remedy: string;
}

export function ok(check: string, message: string): Finding {
  return { check, result: "ok", message, remedy: "" };
}

export function failed(check: string, message: string, remedy: string): Finding {
  return { check, result: "failed", message, remedy };
}

export function warning(check: string, message: string, remedy: string): Finding {
  return { check, result: "warning", message, remedy };
}

export function skipped(check: string, message: string, remedy = ""): Finding {
  return { check, result: "skipped", message, remedy };
}

/** Describes why an address cannot be connected to. */
export function connectionFinding(address: string, probe: Probe): Finding {
  if (probe.kind === "connected") return ok("address", `${address} accepts connections`);
  if (probe.kind === "timeout") {
    return failed("address", `${address} does not answer`, "Check the host, firewalls and network policies.");
  }
  const [message, remedy] = CONNECTION_ERRORS[probe.code] ?? [probe.code, "Check the address."];
  return failed("address", `${address}: ${message}`, remedy);
}

const CONNECTION_ERRORS: Readonly<Record<string, readonly [message: string, remedy: string]>> = {
  ECONNREFUSED: ["nothing listens there", "Start the sidecar, or give the address of its --listen."],
  ECONNRESET: ["the connection was reset", "Check what listens there, and proxies in between."],
  EACCES: [
    "this user may not open the socket",
    "Run as a user of the socket's group, or set --socket-mode of the sidecar.",
  ],
  ENOENT: ["the socket does not exist", "Start the sidecar, or give the path of its --listen unix:path."],
  ENOTFOUND: ["the host name has no address", "Correct the host name, or its DNS record."],
  EAI_AGAIN: ["the host name cannot be resolved now", "Check the DNS server."],
  EHOSTUNREACH: ["the host cannot be reached", "Check routes and network policies."],
  ENETUNREACH: ["the network cannot be reached", "Check routes and network policies."],
};

/** Describes why the first call failed, though the address accepts connections. */
export function callFinding(failure: unknown, protocol: Protocol): Finding {
  const { code, details = "" } = failure as Partial<ServiceError>;
  if (code === status.UNAUTHENTICATED) {
    return failed("credentials", `the sidecar does not know this client: ${details}`, CREDENTIALS);
  }
  if (code === status.PERMISSION_DENIED) {
    return failed("permission", `this client may not do that: ${details}`, PERMISSION);
  }
  if (TLS_ERROR.test(details)) {
    return failed(
      "tls",
      `the TLS handshake failed: ${details}`,
      "Check that the certificate is valid, names this host, and was issued by the authority that the client trusts.",
    );
  }
  if (protocol === "http1" || code === status.UNIMPLEMENTED) {
    return failed(
      "protocol",
      protocol === "http1" ? "this is an HTTP listener, not gRPC" : "this gRPC server is no splitcache",
      "Give the address of --listen, not of --http or --health-listen.",
    );
  }
  if (protocol === "tls") {
    return failed("tls", "the listener expects TLS", "Call it with TLS, or give a listener without TLS.");
  }
  return failed(
    "protocol",
    describeFailure(failure).message,
    "Check that a splitcache sidecar listens there.",
  );
}

const TLS_ERROR = /certificate|self.signed|\bSSL\b|\bTLS\b|ERR_TLS|wrong version number|EPROTO|handshake/i;
const CREDENTIALS = "Give a token or a client certificate that the sidecar's auth file names.";
const PERMISSION =
  "Give a homeserver that --homeserver and the auth file of the sidecar allow, or other credentials.";
