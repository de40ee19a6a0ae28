import { isIPv4, isIPv6 } from "node:net";

/** The address of a listener. Port 0 selects a free port. */
export type ListenAddress = TcpAddress | UnixAddress;

export interface TcpAddress {
  readonly kind: "tcp";
  readonly host: string;
  readonly port: number;
}

export interface UnixAddress {
  readonly kind: "unix";
  readonly path: string;
}

/** The longest path of a Unix socket on every platform: macOS allows 103 bytes, Linux 107. */
const SOCKET_PATH_BYTES_MAX = 103;

/** Reads `host:port`, `[ipv6]:port` or `unix:path`; undefined if the text is none of these. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  return text.startsWith("unix:") ? parseUnix(text.slice("unix:".length)) : parseTcpAddress(text);
}

/** Reads `host:port` or `[ipv6]:port`; undefined if the text is neither. */
export function parseTcpAddress(text: string): TcpAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain;
  if (host === undefined || port > 65_535 || (bracketed !== undefined && !isIPv6(bracketed))) {
    return undefined;
  }
  return { kind: "tcp", host, port };
}

/** Whether only this machine can reach an address. A name may resolve to any address. */
export function isLocal(address: ListenAddress): boolean {
  return address.kind === "unix" || isLoopback(address.host);
}

/** Whether this is the address of a loopback interface. */
export function isLoopback(address: string): boolean {
  return isIPv4(address) ? address.startsWith("127.") : address === "::1";
}

/** The text that parses to this address. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") {
    return `unix:${address.path}`;
  }
  return `${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}

function parseUnix(path: string): UnixAddress | undefined {
  const fits = path.length > 0 && Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX && !path.includes("\0");
  return fits ? { kind: "unix", path } : undefined;
}
