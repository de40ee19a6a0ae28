import { connect, type TLSSocket } from "node:tls";
import { parseListenAddress } from "../../config/address.js";
import { type Finding, failed, ok } from "./diagnosis.js";
import { type ClientTls, tlsOptionsOf } from "./security.js";

/** What a TLS handshake with a listener shows, and its first bytes of HTTP/2. */
export type TlsProbe =
  | { readonly kind: "secured"; readonly version: string; readonly expires: string }
  /** A code of Node.js or OpenSSL. */
  | { readonly kind: "failed"; readonly code: string; readonly names: string }
  /** The handshake was completed, then the listener ended the connection. */
  | { readonly kind: "ended" }
  | { readonly kind: "timeout" };

/** The beginning of each HTTP/2 connection, and settings without a change. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");

/**
 * Makes a TLS connection as a gRPC client does, and closes it again. With TLS 1.3 a listener checks the
 * client's certificate after the client's handshake, so the probe waits for the first bytes.
 */
export async function probeTls(address: string, tls: ClientTls, timeoutMs: number): Promise<TlsProbe> {
  const socket = socketTo(address, tls);
  try {
    return await new Promise<TlsProbe>((resolve) => {
      socket.setTimeout(timeoutMs, () => resolve({ kind: "timeout" }));
      socket.once("secureConnect", () => socket.write(PREFACE));
      socket.once("data", () =>
        resolve({
          kind: "secured",
          version: socket.getProtocol() ?? "TLS",
          expires: socket.getPeerX509Certificate()?.validTo ?? "an unknown time",
        }),
      );
      socket.on("error", (error: NodeJS.ErrnoException) => {
        const isReset = error.code === "ECONNRESET" && socket.authorized;
        resolve(isReset ? { kind: "ended" } : { kind: "failed", ...reasonOf(error) });
      });
      socket.once("close", () => resolve({ kind: "ended" }));
    });
  } finally {
    socket.destroy();
  }
}

function socketTo(address: string, tls: ClientTls): TLSSocket {
  const parsed = parseListenAddress(address);
  if (parsed === undefined) throw new Error(`not an address: ${address}`);
  const at = parsed.kind === "unix" ? { path: parsed.path } : { host: parsed.host, port: parsed.port };
  return connect({ ...at, ...tlsOptionsOf(tls), ALPNProtocols: ["h2"] });
}

function reasonOf(error: NodeJS.ErrnoException & { readonly cert?: { readonly subjectaltname?: string } }) {
  return { code: error.code ?? error.message, names: error.cert?.subjectaltname ?? "no name" };
}

/** Describes what the handshake shows. */
export function tlsFinding(probe: TlsProbe, { cert, serverName }: ClientTls): Finding {
  if (probe.kind === "secured") {
    return ok("tls", `${probe.version}, the sidecar's certificate is valid until ${probe.expires}`);
  }
  if (probe.kind === "timeout") {
    return failed("tls", "the TLS handshake does not end in time", "Check what listens there.");
  }
  if (probe.kind === "ended" || CLIENT_CERTIFICATE.test(probe.code)) {
    const reason =
      cert === undefined ? "requires a client certificate" : "does not accept this client certificate";
    return failed("tls", `the sidecar ${reason}`, CERTIFICATE_REMEDY);
  }
  if (probe.code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const expected = serverName ?? "the host of the address";
    const message = `the sidecar's certificate is for ${probe.names}, not for ${expected}`;
    return failed("tls", message, "Give a name that the certificate has with --tls-server-name.");
  }
  const [, message, remedy] = HANDSHAKE_ERRORS.find(([codes]) => codes.test(probe.code)) ?? UNKNOWN_ERROR;
  return failed("tls", message === "" ? `the TLS handshake fails: ${probe.code}` : message, remedy);
}

const CLIENT_CERTIFICATE = /ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE)/;
const CERTIFICATE_REMEDY =
  "Give --tls-cert-file and --tls-key-file. An authority of the sidecar's --tls-client-ca-file must have issued the certificate, and it must not have expired.";

type HandshakeError = readonly [codes: RegExp, message: string, remedy: string];

const UNKNOWN_ERROR: HandshakeError = [/./, "", "Check what listens there, and the sidecar's log lines."];

const HANDSHAKE_ERRORS: readonly HandshakeError[] = [
  [
    /SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|SIGNATURE_FAILURE/,
    "this client does not trust the authority that issued the sidecar's certificate",
    "Give the authority's certificate with --tls-ca-file.",
  ],
  [
    /CERT_HAS_EXPIRED/,
    "the sidecar's certificate, or the certificate of its authority, has expired",
    "Renew the certificate. The sidecar reads its changed files by itself.",
  ],
  [
    /CERT_NOT_YET_VALID/,
    "the sidecar's certificate is not valid yet",
    "Check the clocks of this machine and of the issuer.",
  ],
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH|EPROTO|RECORD/,
    "the listener does not use TLS",
    "Leave out the flags and variables of TLS, or start the sidecar with --tls-cert-file and --tls-key-file. Unix sockets and --health-listen never use TLS.",
  ],
  [
    /NO_APPLICATION_PROTOCOL/,
    "the listener uses TLS but not gRPC",
    "Give the address of --listen, not of --http.",
  ],
];
