import { isIPv6 } from "node:net";
import { InvalidArgumentError } from "commander";
import { formatListenAddress, parseListenAddress, parseTcpAddress } from "../../config/address.js";
import { CliError, ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";

/** What the functions below answer, for the help. */
export const ADDRESS_HELP =
  "env: SPLITCACHE_ADDRESS, else the first of SPLITCACHE_LISTEN; default: 127.0.0.1:50051";
export const ADMIN_ADDRESS_HELP =
  "env: SPLITCACHE_ADMIN_ADDRESS, else the first of SPLITCACHE_ADMIN_LISTEN; default: 127.0.0.1:50052";
export const PROBE_ADDRESS_HELP =
  "env: SPLITCACHE_ADDRESS, else the first of SPLITCACHE_HEALTH_LISTEN or SPLITCACHE_LISTEN; default: 127.0.0.1:50051";
export const HTTP_ADDRESS_HELP = "env: SPLITCACHE_HTTP; default: 127.0.0.1:9464";

const ADDRESS_KIND = "host:port or [ipv6]:port with a port from 1 to 65535, or unix:path";
const HTTP_ADDRESS_KIND = "host:port or http://host:port with a port from 1 to 65535";

/** Checks the address of a sidecar; a flag's parser. */
export function parseAddress(text: string): string {
  if (isAddress(text)) return text;
  throw new InvalidArgumentError(`Expected ${ADDRESS_KIND}.`);
}

/** Reads the address of the metrics, also as a URL; a flag's parser. */
export function parseHttpAddress(text: string): string {
  const address = httpAddress(text);
  if (address === undefined) throw new InvalidArgumentError(`Expected ${HTTP_ADDRESS_KIND}.`);
  return address;
}

/**
 * The address of the sidecar if no flag gives it. A command that shares the environment
 * of `serve`, such as a container's health check, finds the sidecar where it listens.
 */
export function defaultAddress(env: CliIo["env"]): string {
  return addressOf(env, "SPLITCACHE_ADDRESS", "SPLITCACHE_LISTEN") ?? "127.0.0.1:50051";
}

/** The address that a probe asks if no flag gives it. Without TLS it is the listener of probes, which never uses it. */
export function defaultProbeAddress(env: CliIo["env"], usesTls: boolean): string {
  const health = usesTls ? undefined : addressOf(env, "SPLITCACHE_ADDRESS", "SPLITCACHE_HEALTH_LISTEN");
  return health ?? defaultAddress(env);
}

/** The address of the sidecar's admin listener if no flag gives it. */
export function defaultAdminAddress(env: CliIo["env"]): string {
  return addressOf(env, "SPLITCACHE_ADMIN_ADDRESS", "SPLITCACHE_ADMIN_LISTEN") ?? "127.0.0.1:50052";
}

/** The address of the metrics if no flag gives it. */
export function defaultHttpAddress({ SPLITCACHE_HTTP: text }: CliIo["env"]): string {
  if (!text) return "127.0.0.1:9464";
  const address = httpAddress(text);
  if (address !== undefined) return reachable(address);
  throw new CliError(ExitCode.usage, `SPLITCACHE_HTTP=${text}: expected ${HTTP_ADDRESS_KIND}`);
}

/** An empty variable counts as not set, as it does for `serve`. */
function addressOf(env: CliIo["env"], address: string, listen: string): string | undefined {
  const given = env[address];
  if (!given) return reachable(env[listen]?.split(",")[0]?.trim() ?? "") || undefined;
  if (isAddress(given)) return given;
  throw new CliError(ExitCode.usage, `${address}=${given}: expected ${ADDRESS_KIND}`);
}

function isAddress(text: string): boolean {
  const address = parseListenAddress(text);
  return address?.kind === "unix" || (address !== undefined && address.port !== 0);
}

function httpAddress(text: string): string | undefined {
  const [, place = ""] = /^(?:http:\/\/)?([^/]*)(?:\/(?:metrics)?)?$/.exec(text) ?? [];
  const address = parseTcpAddress(place);
  return address === undefined || address.port === 0 ? undefined : place;
}

/** An address that reaches a listener from its own machine: a process can listen on all interfaces, not call them. */
function reachable(listen: string): string {
  const address = parseListenAddress(listen);
  if (address?.kind !== "tcp") return listen;
  if (address.host === "0.0.0.0") return formatListenAddress({ ...address, host: "127.0.0.1" });
  const isAnyIPv6 = isIPv6(address.host) && /^[0:]+$/.test(address.host);
  return isAnyIPv6 ? formatListenAddress({ ...address, host: "::1" }) : listen;
}
