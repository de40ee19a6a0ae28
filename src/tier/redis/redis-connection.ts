import { createClient, createCluster, createSentinel, ErrorReply, RESP_TYPES } from "@redis/client";
import { TierFailure } from "./failures.js";
import {
  COMMANDS_PENDING_MAX,
  CONNECT_MS_MAX,
  RECONNECT_MS_MAX,
  RECONNECT_MS_MIN,
  SILENCE_MS_MAX,
} from "./limits.js";
import { addressOf, type RedisNode, type RedisTarget } from "./target.js";

export type Argument = string | Buffer;

/** A client of the library, for any topology. Used once, from `connect` to `destroy`. */
export interface RedisConnection {
  connect(): Promise<unknown>;
  /** Reads values; each arrives at `onValue` by the index of its key. */
  get(keys: readonly string[], onValue: (index: number, value: Buffer | undefined) => void): Promise<void>;
  /** Sends a command to the server that has the key. */
  send(key: string, command: Argument[]): Promise<unknown>;
  destroy(): void;
}

/** `onLost` is called when the connection cannot be used any more, maybe several times. */
export function createConnection(target: RedisTarget, onLost: (error: unknown) => void): RedisConnection {
  if (target.topology === "cluster") return clusterConnection(target, onLost);
  return target.topology === "sentinel"
    ? sentinelConnection(target, onLost)
    : singleConnection(target, onLost);
}

function singleConnection(target: RedisTarget, onLost: (error: unknown) => void): RedisConnection {
  const options = commonOptions(target);
  const client = createClient({
    ...options,
    socket: { ...options.socket, ...target.nodes[0]!, reconnectStrategy: false },
    database: target.database,
  });
  client.on("error", unlessReply(onLost)).on("end", () => onLost(new Error("it was closed")));
  const send = (command: Argument[]) => client.sendCommand(command, COMMAND_OPTIONS);
  return {
    connect: () => client.connect(),
    get: (keys, onValue) => getAtOnce(send, keys, onValue),
    send: (_key, command) => send(command),
    destroy: () => client.destroy(),
  };
}

/**
 * The client is reserved so that commands share one connection; otherwise the library gives
 * it to one command at a time. While the primary is down the library queries the Sentinels
 * without a pause for each command, so a client that loses the primary is abandoned.
 */
function sentinelConnection(target: RedisTarget, onLost: (error: unknown) => void): RedisConnection {
  const options = commonOptions(target);
  const sentinel = createSentinel({
    name: target.primaryName,
    sentinelRootNodes: [...target.nodes],
    nodeClientOptions: {
      ...options,
      socket: { ...options.socket, reconnectStrategy: false },
      database: target.database,
    },
    sentinelClientOptions: commonOptions(target, sentinelLogin(target)),
    RESP: 3,
    reserveClient: true,
    masterPoolSize: 1,
    maxCommandRediscovers: 0,
    scanInterval: RECONNECT_MS_MAX,
  });
  let last: unknown;
  sentinel.on("error", (error: unknown) => {
    last = error;
  });
  sentinel.on("client-error", ({ type, error }: { type: string; error: unknown }) => {
    if (type === "MASTER") unlessReply(onLost)(error);
  });
  const send = (command: Argument[]) => sentinel.sendCommand(false, command, COMMAND_OPTIONS);
  return {
    connect: () =>
      sentinel.connect().catch((error: unknown) => {
        throw last instanceof Error && String(error).includes("None of the sentinels") ? last : error;
      }),
    get: (keys, onValue) => getAtOnce(send, keys, onValue),
    send: (_key, command) => send(command),
    destroy: () => void sentinel.destroy().catch(ignore),
  };
}

/** The library reconnects to the nodes of a Cluster and reloads the slot assignment. */
function clusterConnection(target: RedisTarget, onLost: (error: unknown) => void): RedisConnection {
  const options = commonOptions(target);
  const nodeOptions = { ...options, socket: { ...options.socket, reconnectStrategy: delayMs } };
  const cluster = createCluster({
    rootNodes: target.nodes.map((node) => ({ ...options, socket: { ...options.socket, ...node } })),
    defaults: nodeOptions,
    // An unavailable node must not prevent the use of the others.
    minimizeConnections: true,
    topologyRefreshOnReconnectionAttemptStrategy: SILENCE_MS_MAX / 2,
  });
  let last: unknown;
  cluster.on("error", (error: unknown) => {
    last = error;
  });
  cluster.on("node-error", (error: unknown, { host, port }: RedisNode) => {
    const node = cluster.masters.find((node) => node.host === host && node.port === port);
    // An error on an open connection: requests and replies no longer match.
    if (node?.client?.isReady === true) unlessReply(onLost)(error);
  });
  const send = (key: string, command: Argument[]) =>
    cluster.sendCommand(key, command[0] === "GET", command, COMMAND_OPTIONS);
  return {
    connect: () =>
      cluster.connect().catch((error: unknown) => {
        throw last ?? error;
      }),
    async get(keys, onValue) {
      const gets = keys.map(async (key, index) => onValue(index, bytesOf(await send(key, ["GET", key]))));
      const failed = (await Promise.allSettled(gets)).find(({ status }) => status === "rejected");
      if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
    },
    send,
    destroy: () => {
      if (cluster.isOpen) cluster.destroy();
    },
  };
}

async function getAtOnce(
  send: (command: Argument[]) => Promise<unknown>,
  keys: readonly string[],
  onValue: (index: number, value: Buffer | undefined) => void,
): Promise<void> {
  const values = await send(["MGET", ...keys]);
  if (!Array.isArray(values) || values.length !== keys.length)
    throw new TierFailure("other", "MGET has an unexpected reply");
  for (const [index, value] of values.entries()) onValue(index, bytesOf(value));
}

const bytesOf = (value: unknown): Buffer | undefined => (Buffer.isBuffer(value) ? value : undefined);

/** Strings are returned as bytes. Zero disables the library's time limit, which needs a timer per command. */
const COMMAND_OPTIONS = { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

function commonOptions(target: RedisTarget, login = loginOf(target.username, target.password)) {
  return {
    RESP: 3 as const,
    ...login,
    socket: socketOptions(target),
    disableClientInfo: true,
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_PENDING_MAX,
    // Managed services announce maintenance, upon which the library would change servers by itself.
    maintNotifications: "disabled" as const,
    pingInterval: SILENCE_MS_MAX,
  };
}

function socketOptions({ tls, ca, cert, key }: RedisTarget) {
  const common = {
    connectTimeout: CONNECT_MS_MAX,
    // Closes a connection on which no ping is answered, including one whose server accepts it and is silent.
    socketTimeout: 3 * SILENCE_MS_MAX,
    noDelay: true,
  };
  if (!tls) return common;
  return {
    ...common,
    tls: true as const,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert, key }),
  };
}

function loginOf(username: string | undefined, password: string | undefined) {
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) };
}

/** Never the credentials of Redis: Sentinels without that user would refuse them, even if they require none. */
function sentinelLogin({ sentinelUsername, sentinelPassword }: RedisTarget) {
  return loginOf(sentinelUsername, sentinelPassword);
}

/** The pause before an attempt to connect: doubled each time, with jitter so that sidecars do not connect at once. */
export function delayMs(attempts: number): number {
  const longest = Math.min(RECONNECT_MS_MIN * 2 ** Math.min(attempts, 10), RECONNECT_MS_MAX);
  return longest * (0.5 + Math.random() / 2);
}

/** An error reply of a server does not mean that the connection is broken. */
function unlessReply(onLost: (error: unknown) => void): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof ErrorReply)) onLost(error);
  };
}

function ignore(): void {}

/** The target's name in logs. */
export function nameOf({ topology, nodes, primaryName }: RedisTarget): string {
  const addresses = nodes.map(addressOf).join(",");
  return topology === "sentinel" ? `${primaryName} of Sentinels ${addresses}` : addresses;
}
