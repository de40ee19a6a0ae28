import { ClusterLink } from "./cluster-link.js";
import type { RedisLink, RedisLog } from "./link.js";
import { PrimaryLink } from "./primary-link.js";
import type { RedisTarget } from "./target.js";

/** Opens the way to Redis. It need not be there yet: calls fail until it is. */
export function connectToRedis(target: RedisTarget, clock: () => number, log: RedisLog): RedisLink {
  return target.topology === "cluster"
    ? new ClusterLink(target, clock, log)
    : new PrimaryLink(target, clock, log);
}
