import { PostgresServer, SUPERUSER } from "../../test/support/postgres/postgres-server.js";
import type { LoadGenerator } from "../peers/load.js";
import type { ServerName } from "../peers/reads.js";
import {
  ON_LOAD_CORE,
  type Peer,
  startFixedPeer,
  startRedisPeer,
  startSidecarPeer,
} from "../peers/servers.js";

const MEMORY = "4GiB";
const SIDECARS_OVER_ONE_LOG = 3;

export interface PeerOptions {
  readonly node: string;
  readonly otherNode: string | undefined;
  /** The program of another build, for the server `other`. */
  readonly main?: string | undefined;
  readonly fixedBytes: number;
  readonly events: number;
  readonly homeservers: number;
}

/** Starts a server and fills it. Nothing is left running if that fails. */
export async function startPeer(
  server: ServerName,
  load: LoadGenerator,
  options: PeerOptions,
): Promise<Peer> {
  const peer = await startEmptyPeer(server, options);
  if (server === "grpc-js" || server === "http2") return peer;
  const { events, homeservers } = options;
  const workload = server === "redis" ? "fill-redis" : "fill-sidecar";
  try {
    await load.run({ workload, address: peer.address, events, homeservers });
  } catch (error) {
    await peer.stop();
    throw error;
  }
  return peer;
}

function startEmptyPeer(
  server: ServerName,
  { node, otherNode, fixedBytes, main }: PeerOptions,
): Promise<Peer> {
  if (server === "grpc-js" || server === "http2") return startFixedPeer(server, fixedBytes, node);
  if (server === "redis") return startRedisPeer();
  if (server === "three") return startThree(node);
  const other = server === "other" && main !== undefined ? { main } : {};
  return startSidecarPeer({ memory: MEMORY, node: server === "node" ? otherNode! : node, ...other });
}

/** A sidecar, and two more over the same log beside the load. */
async function startThree(node: string): Promise<Peer> {
  const postgres = await PostgresServer.start({ shared_buffers: "64MB" });
  const url = `postgres://${SUPERUSER}@127.0.0.1:${postgres.port}/postgres?sslmode=disable`;
  const options = { memory: MEMORY, node, flags: ["--log", url] };
  const first = await startSidecarPeer(options);
  const others: Peer[] = [];
  for (let n = 1; n < SIDECARS_OVER_ONE_LOG; n++) {
    others.push(await startSidecarPeer({ ...options, prefix: ON_LOAD_CORE }));
  }
  return {
    ...first,
    stop: async () => {
      for (const peer of [first, ...others]) await peer.stop();
      await postgres.stop();
    },
  };
}
