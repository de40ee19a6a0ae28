import { formatListenAddress, parseTcpAddress } from "./address.js";

/** The addresses of Redis. */
export interface RedisAddress {
  readonly topology: "single" | "sentinel" | "cluster";
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** The name of the primary at the Sentinels; empty in other topologies. */
  readonly primaryName: string;
  readonly database: number;
  readonly tls: boolean;
}

const SCHEMES: ReadonlyMap<string, RedisAddress["topology"]> = new Map([
  ["redis", "single"],
  ["redis-sentinel", "sentinel"],
  ["redis-cluster", "cluster"],
]);
const PORTS = { single: 6379, sentinel: 26_379, cluster: 6379 } as const;
const DATABASE_MAX = 1_000_000;

/**
 * Reads `redis://host:port/database`, `redis-sentinel://host:port,…/primary/database` or
 * `redis-cluster://host:port,…`, with `rediss` for TLS; undefined if the text is none of
 * these. User and password are refused: other users of the machine see the command line.
 * A repeated node is refused as a typing error.
 */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  const [, scheme = "", hosts = "", path] = /^([a-z-]+):\/\/([^/@?#\s]+)(?:\/([^?#@\s]*))?$/.exec(text) ?? [];
  const tls = scheme.startsWith("rediss");
  const topology = SCHEMES.get(tls ? scheme.replace("rediss", "redis") : scheme);
  if (topology === undefined) return undefined;
  const nodes = hosts.split(",").map((host) => nodeOf(host, PORTS[topology]));
  if (nodes.includes(undefined) || hasDuplicate(nodes) || (topology === "single" && nodes.length > 1))
    return undefined;
  const parts = path === undefined || path === "" ? [] : path.split("/");
  const primaryName = topology === "sentinel" ? (parts.shift() ?? "") : "";
  if (topology === "sentinel" && primaryName === "") return undefined;
  const database = Number(parts[0] ?? "0");
  if (parts.length > 1 || !/^\d*$/.test(parts[0] ?? "") || database > DATABASE_MAX) return undefined;
  if (topology === "cluster" && parts.length > 0) return undefined;
  return { topology, nodes: nodes as RedisAddress["nodes"], primaryName, database, tls };
}

/** The URL of this address, with the port of each node. It contains no user and no password. */
export function formatRedisUrl({ topology, nodes, primaryName, database, tls }: RedisAddress): string {
  const scheme = [...SCHEMES].find(([, meant]) => meant === topology)?.[0] ?? "";
  const hosts = nodes.map((node) => formatListenAddress({ kind: "tcp", ...node })).join(",");
  const parts = [...(topology === "sentinel" ? [primaryName] : []), ...(database === 0 ? [] : [database])];
  return [`${tls ? scheme.replace("redis", "rediss") : scheme}://${hosts}`, ...parts].join("/");
}

function hasDuplicate(nodes: readonly (RedisAddress["nodes"][number] | undefined)[]): boolean {
  return new Set(nodes.map((node) => `${node?.host.toLowerCase()} ${node?.port}`)).size < nodes.length;
}

function nodeOf(text: string, defaultPort: number): RedisAddress["nodes"][number] | undefined {
  const address = parseTcpAddress(/:\d+$/.test(text) ? text : `${text}:${defaultPort}`);
  return address === undefined || address.port === 0 ? undefined : { host: address.host, port: address.port };
}
