import { type ServiceError, status } from "@grpc/grpc-js";
import { describeFailure } from "./describe-failure.js";
import type { Probe, Protocol } from "./probe.js";
import type { ClientSecurity } from "./security.js";

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

/** Describes why the sidecar refuses a client, or returns undefined if that is not why the call failed. */
export function refusalFinding(failure: unknown, { token }: ClientSecurity): Finding | undefined {
  const { code, details = "" } = failure as Partial<ServiceError>;
  if (code === status.UNAUTHENTICATED) {
    const remedy = token === undefined ? GIVE_CREDENTIALS : CORRECT_TOKEN;
    return failed("credentials", `the sidecar refuses this client: ${details}`, remedy);
  }
  if (code === status.PERMISSION_DENIED) {
    return failed("permission", `the sidecar refuses the call: ${details}`, PERMISSION);
  }
  return undefined;
}

/** Describes why the first call failed, though the address accepts connections. */
export function callFinding(failure: unknown, protocol: Protocol): Finding {
  const { code } = failure as Partial<ServiceError>;
  if (protocol === "http1" || code === status.UNIMPLEMENTED) {
    return failed(
      "protocol",
      protocol === "http1" ? "this is an HTTP listener, not gRPC" : "this gRPC server is not splitcache",
      "Give the address of --listen, not of --http or --health-listen.",
    );
  }
  if (protocol === "tls") {
    return failed(
      "tls",
      "the listener expects TLS",
      "Give --tls-ca-file with the certificate of its authority.",
    );
  }
  return failed(
    "protocol",
    describeFailure(failure).message,
    "Check that a splitcache sidecar listens there.",
  );
}

const GIVE_CREDENTIALS =
  "Give the token of a client in the sidecar's auth file with --token-file, or its certificate with --tls-cert-file and --tls-key-file.";
const CORRECT_TOKEN =
  "Give a token of a client in the sidecar's auth file. After a rotation, check that the file of --token-file has the new token.";
const PERMISSION =
  "Give a homeserver that the sidecar's auth file allows to this client, or the credentials of another client.";
