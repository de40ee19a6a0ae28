import { type RedisLink, RedisTrouble } from "./link.js";
import type { Script } from "./scripts.js";

/** The replication ID of a primary: new whenever another server, or the same one anew, takes its place. */
export type ReplicationId = string;

/** What a reply says of the server that made it. */
export interface Provenance {
  readonly replicationId: ReplicationId;
  /** The most replicas that this primary was seen to have. */
  readonly replicas: number;
}

interface Proof {
  /** When it was sent: it says nothing of any time after. */
  sentAtMs: number;
  acknowledged: number;
}

interface Primary {
  /** A key that this primary had when it last answered; undefined: it is another one's now. */
  key: string | undefined;
  proof: Proof | undefined;
  /** When its last proof failed; undefined: it did not. */
  failedAtMs: number | undefined;
  /** When this process first heard of it. */
  readonly firstSeenMs: number;
  /** When the first of its proofs came of those that have followed each other without a gap since. */
  provenSinceMs: number;
  replicas: number;
  /** By how much its clock is ahead of ours, at the least. */
  clockAheadMs: number;
  /** Until when its clock, and so its judgement of leases, is not trusted. */
  doubtUntilMs: number;
}

export interface ProofsOptions {
  readonly link: RedisLink;
  readonly script: Script;
  /** Replicas that a primary must have, whatever it was seen to have. */
  readonly replicasMin: number;
  readonly leaseDurationMs: number;
  readonly lifetimeMs: number;
  readonly clock: () => number;
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Proofs that servers are still the primaries they were.
 *
 * After a failover the old primary may go on answering whoever still reaches it. A
 * write that every replica has acknowledged shows that none of them had been made
 * primary when it was sent, or had left for one that was. So an answer is taken only
 * from a primary that was proven less than a lifetime ago, and a change counts only if
 * its primary was proven after it. A server that has not been proven for a lifetime on
 * end makes no promises either: somebody may still be answered by the one before it,
 * by a proof of then.
 *
 * A primary is told from another by its replication ID, which every reply bears, so
 * it does not matter which connection or node a reply came from.
 */
export class Proofs {
  readonly #options: ProofsOptions;
  readonly #primaries = new Map<ReplicationId, Primary>();
  /** By what they are about: a primary's replication ID, or a key whose primary is not known. */
  readonly #running = new Map<string, Promise<void>>();
  /** What is known of servers whatever their replication IDs have become since, by the IDs of their processes. */
  readonly #servers = new Map<string, { readonly replicationId: ReplicationId; readonly replicas: number }>();

  /** Keys whose servers are to be proven, and may never have been reached. */
  readonly #doubted = new Set<string>();
  /** One of them that stands for no call; undefined once there were calls. */
  #startKey: string | undefined;

  constructor(options: ProofsOptions) {
    this.#options = options;
  }

  /** Whether the last proof of each server in use came, and may be relied on. */
  get isWell(): boolean {
    const nowMs = this.#options.clock();
    const isRelied = ({ failedAtMs, doubtUntilMs }: Primary) =>
      failedAtMs === undefined && nowMs >= doubtUntilMs;
    return this.#doubted.size === 0 && [...this.#primaries.values()].every(isRelied);
  }

  /** The server that has this key is asked for a proof until it gives one, and is not well before. */
  doubt(key: string): void {
    if (this.#doubted.size < DOUBTED_MAX) this.#doubted.add(key);
  }

  /** Doubts a key until it is proven, or another one is that is used: in a Cluster it may be a server that is not. */
  start(key: string): void {
    this.#startKey = key;
    this.doubt(key);
  }

  /** Whether an answer of this server may be believed, as far as is known without asking. */
  holds(provenance: Provenance): boolean {
    const nowMs = this.#options.clock();
    const primary = this.#primaries.get(provenance.replicationId);
    return (
      primary?.proof !== undefined &&
      nowMs >= primary.doubtUntilMs &&
      nowMs - primary.proof.sentAtMs < this.#options.lifetimeMs &&
      primary.proof.acknowledged >= this.#needed(provenance.replicas)
    );
  }

  /** The same, asking if need be. `key` is one that the server has. */
  async confirm(provenance: Provenance, key: string): Promise<boolean> {
    const primary = this.#see(provenance, key);
    if (!this.holds(provenance)) {
      if (!this.#failedLately(primary)) await this.#prove(provenance.replicationId, key);
      if (!this.holds(provenance)) return false;
    }
    if (this.#startKey !== undefined) this.#forgetStart(this.#startKey);
    return true;
  }

  #forgetStart(key: string): void {
    this.#startKey = undefined;
    this.#doubted.delete(key);
    for (const [replicationId, primary] of this.#primaries)
      if (primary.key === key) this.#primaries.delete(replicationId);
  }

  /**
   * Whether a change that this server has made is safe: a proof that was sent after it
   * was acknowledged, and nobody is answered by a server before this one any more.
   */
  async confirmChange(provenance: Provenance, key: string): Promise<boolean> {
    const { clock, lifetimeMs } = this.#options;
    const changedAtMs = clock();
    const { replicationId } = provenance;
    const primary = this.#see(provenance, key);
    // It may have no replicas yet, or none that answers, because it has just taken the place of another.
    await this.#until(primary.firstSeenMs + lifetimeMs);
    // Without replicas no other server can have taken its place.
    if (this.#needed(primary.replicas) === 0) return this.confirm(provenance, key);
    const isProven = () =>
      primary.proof !== undefined && primary.proof.sentAtMs >= changedAtMs && this.holds(provenance);
    // The replica that acknowledges may have left another server a moment before, with a proof of that one.
    const isSafe = () => isProven() && clock() >= primary.provenSinceMs + lifetimeMs;
    // A proof under way may have been sent before the change.
    if (!isProven()) await this.#running.get(replicationId);
    for (let tries = 0; tries < CHANGE_TRIES && !isSafe(); tries++) {
      if (!isProven()) {
        await this.#afterPause(primary);
        await this.#prove(replicationId, key);
      }
      if (isProven()) await this.#until(primary.provenSinceMs + lifetimeMs);
    }
    return isSafe();
  }

  /** Renews the proofs of the servers that were used, so that the next change need not wait; called once an interval. */
  tick(): void {
    const nowMs = this.#options.clock();
    const proofs: Promise<void>[] = [];
    for (const [replicationId, primary] of this.#primaries) {
      const unprovenMs = nowMs - (primary.proof?.sentAtMs ?? primary.firstSeenMs);
      // One that fails stays until its key is another's, however long that takes: it is what is not well.
      if (unprovenMs > UNPROVEN_MAX_MS && primary.failedAtMs === undefined)
        this.#primaries.delete(replicationId);
      else if (primary.key !== undefined) proofs.push(this.#prove(replicationId, primary.key));
    }
    // Then only: they may be those servers', and WAIT holds up what comes after it.
    void Promise.all(proofs).then(() => this.#askDoubted());
  }

  /** One after the other: they may be one server's. */
  #askDoubted(): void {
    const [key] = this.#doubted;
    if (key === undefined) return;
    void this.#prove(key, key).then(() => {
      if (!this.#doubted.has(key)) this.#askDoubted();
    });
  }

  #see({ replicationId, replicas }: Provenance, key: string): Primary {
    const nowMs = this.#options.clock();
    let primary = this.#primaries.get(replicationId);
    if (primary === undefined) {
      primary = {
        key,
        proof: undefined,
        failedAtMs: undefined,
        firstSeenMs: nowMs,
        provenSinceMs: Number.POSITIVE_INFINITY,
        replicas,
        clockAheadMs: Number.NEGATIVE_INFINITY,
        doubtUntilMs: Number.NEGATIVE_INFINITY,
      };
      this.#primaries.set(replicationId, primary);
    }
    primary.key = key;
    primary.replicas = Math.max(primary.replicas, replicas);
    return primary;
  }

  #needed(replicas: number): number {
    return Math.max(replicas, this.#options.replicasMin);
  }

  /** One that failed a moment ago would fail again: who asks often must not pile up. */
  #failedLately({ failedAtMs }: Primary): boolean {
    return failedAtMs !== undefined && this.#options.clock() - failedAtMs < RETRY_PAUSE_MS;
  }

  /** A change is worth another try, but not one for each that waits. */
  async #afterPause({ failedAtMs }: Primary): Promise<void> {
    if (failedAtMs !== undefined) await this.#until(failedAtMs + RETRY_PAUSE_MS);
  }

  async #until(timeMs: number): Promise<void> {
    const waitMs = timeMs - this.#options.clock();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(waitMs)));
  }

  /** One proof of a server at a time, whoever needs it: WAIT holds up what comes after it. */
  #prove(subject: string, key: string): Promise<void> {
    let running = this.#running.get(subject);
    if (running === undefined) {
      running = this.#proveNow(subject, key).finally(() => this.#running.delete(subject));
      this.#running.set(subject, running);
    }
    return running;
  }

  async #proveNow(subject: string, key: string): Promise<void> {
    const { link, script, clock, onTrouble } = this.#options;
    const sentAtMs = clock();
    let primaryAsked = this.#primaries.get(subject);
    try {
      let needed = 0;
      const { reply, acknowledged } = await link.prove({
        script,
        key,
        args: [""],
        replicas: (reply) => {
          needed = this.#needed(this.#replicasOf(readProof(reply)));
          return needed;
        },
      });
      const { replicationId, serverMs } = readProof(reply);
      const primary = this.#see({ replicationId, replicas: needed }, key);
      this.#watchClock(primary, serverMs - sentAtMs, serverMs - clock());
      if (primaryAsked !== undefined && primaryAsked !== primary) {
        // Nothing is known against it, but one proof of the server that has its key now is enough.
        primaryAsked.failedAtMs = undefined;
        if (primaryAsked.key === key) primaryAsked.key = undefined;
      }
      // From here on it is this one that is well or not.
      primaryAsked = primary;
      this.#doubted.delete(key);
      if (acknowledged < needed)
        throw new RedisTrouble("no_replicas", `${acknowledged} of ${needed} replicas acknowledged`);
      if (primary.proof === undefined || clock() - primary.proof.sentAtMs >= this.#options.lifetimeMs)
        primary.provenSinceMs = clock();
      if (primary.proof === undefined || sentAtMs > primary.proof.sentAtMs)
        primary.proof = { sentAtMs, acknowledged };
      primary.failedAtMs = undefined;
    } catch (error) {
      if (primaryAsked !== undefined) primaryAsked.failedAtMs = clock();
      onTrouble(error);
    }
  }

  /**
   * How many replicas a server is known to have: it may have changed its replication ID
   * by itself, which a primary does that has seen none for an hour.
   */
  #replicasOf({ runId, replicationId, online, isFirstInLine }: ProofReply): number {
    const known = this.#servers.get(runId);
    const carried = known?.replicationId === replicationId || isFirstInLine ? (known?.replicas ?? 0) : 0;
    const replicas = Math.max(online, carried, this.#primaries.get(replicationId)?.replicas ?? 0);
    this.#servers.delete(runId);
    this.#servers.set(runId, { replicationId, replicas });
    for (const oldest of this.#servers.keys()) {
      if (this.#servers.size <= SERVERS_KNOWN_MAX) break;
      this.#servers.delete(oldest);
    }
    return replicas;
  }

  /**
   * Leases are judged by the server's clock. The scripts notice when it was set back by
   * more than the time since they last wrote; for less, doubt lasts as long as a lease.
   */
  #watchClock(primary: Primary, atMostMs: number, atLeastMs: number): void {
    const { clock, leaseDurationMs, onTrouble } = this.#options;
    if (atMostMs < primary.clockAheadMs - CLOCK_DRIFT_MS) {
      onTrouble(
        new RedisTrouble("clock", "the server's clock was set back: nothing is believed for a lease"),
      );
      primary.doubtUntilMs = clock() + leaseDurationMs;
      primary.clockAheadMs = atLeastMs;
    }
    primary.clockAheadMs = Math.max(atLeastMs, primary.clockAheadMs - CLOCK_DRIFT_MS);
  }
}

interface ProofReply {
  readonly replicationId: ReplicationId;
  readonly online: number;
  readonly serverMs: number;
  /** Of the server's process. */
  readonly runId: string;
  /** Whether it has taken over from no other since it began, or since it last changed its replication ID by itself. */
  readonly isFirstInLine: boolean;
}

function readProof(reply: unknown): ProofReply {
  const [replicationId, online, serverMs, runId, first] = reply as [Buffer, number, number, Buffer, number];
  return {
    replicationId: replicationId.toString("latin1"),
    online,
    serverMs,
    runId: runId.toString("latin1"),
    isFirstInLine: first === 1,
  };
}

/** Keys that are asked about at once: each of a homeserver, and one is enough to be unwell. */
const DOUBTED_MAX = 16;
/** Servers that are remembered: more than any Cluster has. */
const SERVERS_KNOWN_MAX = 1000;
/** Proofs that a change is worth: replicas now and then let a WAIT go unanswered, and whoever announces would only call again. */
const CHANGE_TRIES = 2;
/** How soon after a failure a proof is tried again. */
const RETRY_PAUSE_MS = 250;
/** A primary that was not proven for so long, and is not asked for it any more, is forgotten. */
const UNPROVEN_MAX_MS = 60_000;
/** By how much two clocks may drift apart between two proofs, with what is lost by counting whole milliseconds. */
const CLOCK_DRIFT_MS = 5;
