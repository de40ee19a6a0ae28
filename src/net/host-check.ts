import { isIPv6 } from "node:net";
import { isLoopback } from "../config/address.js";

/** Whether a server may answer a request with this Host header. */
export type HostCheck = (host: string | undefined) => boolean;

/**
 * Protects a local port from web pages (DNS rebinding). A page whose host name
 * resolves to a loopback address can read the port through a browser, but its
 * requests carry the page's name in Host. A request without Host is HTTP/1.0, which
 * no browser sends.
 */
export function loopbackHostCheck(configuredHost: string): HostCheck {
  return (header) => {
    if (header === undefined) return true;
    const name = hostOf(header);
    return name !== undefined && (isLoopbackName(name) || name === configuredHost.toLowerCase());
  };
}

function isLoopbackName(name: string): boolean {
  return name === "localhost" || isLoopback(name);
}

/** `host`, `host:port`, `[ipv6]` or `[ipv6]:port`, without the port; undefined if it is none of these. */
function hostOf(header: string): string | undefined {
  const [, ipv6, name] = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::\d*)?$/.exec(header.toLowerCase()) ?? [];
  if (ipv6 !== undefined) return isIPv6(ipv6) ? ipv6 : undefined;
  return name;
}
