import { isIPv6 } from "node:net";
import { formatListenAddress, parseListenAddress } from "../../config/address.js";
import { listItems } from "../../config/list-items.js";
import type { CliIo } from "../io/cli-io.js";

/** How the help says what `defaultAddress` answers. */
export const DEFAULT_ADDRESS_HELP =
  "env: SPLITCACHE_ADDRESS, else the first of SPLITCACHE_LISTEN, default: 127.0.0.1:50051";

/**
 * Where the sidecar is if no flag says so: a command that shares the environment
 * of `serve`, as a container's health check does, finds it where it listens.
 */
export function defaultAddress(env: CliIo["env"]): string {
  const { SPLITCACHE_ADDRESS, SPLITCACHE_LISTEN } = env;
  // An empty variable counts as not set, as it does for `serve`.
  if (SPLITCACHE_ADDRESS) return SPLITCACHE_ADDRESS;
  return reachable(listItems(SPLITCACHE_LISTEN ?? "")[0] || "127.0.0.1:50051");
}

/** How the help says what `adminAddress` answers. */
export const ADMIN_ADDRESS_HELP =
  "env: SPLITCACHE_ADMIN_ADDRESS, else the first of SPLITCACHE_ADMIN_LISTEN, default: 127.0.0.1:50052";

/** Where the sidecar's admin listener is if no flag says so. */
export function adminAddress({ SPLITCACHE_ADMIN_ADDRESS, SPLITCACHE_ADMIN_LISTEN }: CliIo["env"]): string {
  return SPLITCACHE_ADMIN_ADDRESS || listItems(SPLITCACHE_ADMIN_LISTEN ?? "")[0] || "127.0.0.1:50052";
}

/** An address that reaches a listener from its own machine: one can listen on all interfaces, not call them. */
function reachable(listen: string): string {
  const address = parseListenAddress(listen);
  if (address?.kind !== "tcp") return listen;
  if (address.host === "0.0.0.0") return formatListenAddress({ ...address, host: "127.0.0.1" });
  const isAnyIPv6 = isIPv6(address.host) && /^[0:]+$/.test(address.host);
  return isAnyIPv6 ? formatListenAddress({ ...address, host: "::1" }) : listen;
}
