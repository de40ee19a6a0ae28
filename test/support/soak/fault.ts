import type { Cluster } from "./cluster.js";

/** A whole number below a bound, as the seed determines. */
export type Below = (bound: number) => number;

/** Disturbs a part of the cluster; resolves when that part works again. */
export type Fault = (cluster: Cluster, below: Below) => Promise<void>;

/** Longer than a lease, and often longer than it takes until a member is expelled. */
export const longMs = (below: Below) => 300 + below(6000);
