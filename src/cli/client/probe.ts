import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parseListenAddress } from "../../config/address.js";

/** What a plain connection to an address shows, before any gRPC. */
export type Probe =
  | { readonly kind: "connected" }
  | { readonly kind: "failed"; readonly code: string }
  | { readonly kind: "timeout" };

/** Connects, and closes again. */
export async function probeConnection(address: string, timeoutMs: number): Promise<Probe> {
  const socket = socketTo(address);
  try {
    return await new Promise<Probe>((resolve) => {
      socket.setTimeout(timeoutMs, () => resolve({ kind: "timeout" }));
      socket.once("connect", () => resolve({ kind: "connected" }));
      socket.once("error", (error: NodeJS.ErrnoException) =>
        resolve({ kind: "failed", code: error.code ?? error.message }),
      );
    });
  } finally {
    socket.destroy();
  }
}

export type Protocol = "http1" | "tls" | "unknown";

/** Finds out what listens at an address that speaks no gRPC. */
export async function probeProtocol(address: string, timeoutMs: number): Promise<Protocol> {
  const protocol = await probeHttp1(address, timeoutMs);
  if (protocol !== "unknown") return protocol;
  // Some listeners of TLS close a connection in cleartext without an answer.
  return (await completesHandshake(address, timeoutMs)) ? "tls" : "unknown";
}

/** Sends a request of HTTP/1.1 and looks at the first bytes of the answer. */
async function probeHttp1(address: string, timeoutMs: number): Promise<Protocol> {
  const socket = socketTo(address);
  try {
    return await new Promise<Protocol>((resolve) => {
      socket.setTimeout(timeoutMs, () => resolve("unknown"));
      socket.once("error", () => resolve("unknown"));
      socket.once("close", () => resolve("unknown"));
      socket.once("data", (bytes) => {
        if (bytes.subarray(0, 7).toString("latin1") === "HTTP/1.") resolve("http1");
        // The record types of an alert and of a handshake.
        else resolve((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 0x03 ? "tls" : "unknown");
      });
      socket.write("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    });
  } finally {
    socket.destroy();
  }
}

/** Whether a TLS handshake ends well. Nothing is sent afterwards, so the certificate does not matter. */
async function completesHandshake(address: string, timeoutMs: number): Promise<boolean> {
  const socket = connectTls({ socket: socketTo(address), ALPNProtocols: ["h2"], rejectUnauthorized: false });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.setTimeout(timeoutMs, () => resolve(false));
      socket.once("secureConnect", () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("close", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

function socketTo(address: string): Socket {
  const parsed = parseListenAddress(address);
  if (parsed === undefined) throw new Error(`not an address: ${address}`);
  return parsed.kind === "unix" ? connect(parsed.path) : connect(parsed.port, parsed.host);
}
