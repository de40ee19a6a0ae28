import type { LeaseClock } from "../clock.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Statement } from "../connection/session.js";
import type { PostgresLimits } from "../postgres-limits.js";
import type { ClusterRow, Incarnation } from "./incarnation.js";

/** Why a membership ended. */
export type LossReason = "expelled" | "database";

export interface MembershipOptions {
  readonly clock: LeaseClock;
  readonly limits: PostgresLimits;
  readonly schema: string;
  readonly incarnation: Incarnation;
  /** Renewals. */
  readonly followLink: PostgresLink;
  /** Joins: these must be on disk before they count. */
  readonly callLink: PostgresLink;
  randomBytes(length: number): Buffer;
  /** Whether both links are connected to the same server. */
  isOneServer(): boolean;
  /**
   * Whether this sidecar can read the log and append to the same server. While it cannot, its
   * lease is not renewed.
   */
  mayRenew(): boolean;
  /** The lease was given up: every copy is emptied. Called before the next join is sent. */
  onLost(reason: LossReason): void;
  onJoined(memberId: string): void;
  /** The lease is live again, and no other member expelled this one in between. */
  onRevived(): void;
  onFailure(error: unknown): void;
}

/**
 * This sidecar's membership and its lease. While the lease is live, every change that is
 * confirmed anywhere has been applied here, or was confirmed before this sidecar enrolled.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #statements: ReturnType<typeof statements>;
  #memberId: string | undefined;
  #formerId: string | undefined;
  #leaseEndMs = Number.NEGATIVE_INFINITY;
  #busy: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#statements = statements(options.schema);
  }

  get memberId(): string | undefined {
    return this.#memberId;
  }

  /** Reads the clock at each call: after a freeze a flag set by a timer would be late. */
  isLive(): boolean {
    return this.#options.clock.nowMs() < this.#leaseEndMs;
  }

  /** Renews the lease, or joins. Call it often; concurrent calls do nothing. */
  async renewOrJoin(): Promise<void> {
    if (this.#busy !== undefined || this.#isClosed) return;
    this.#busy = this.#renewOrJoin();
    await this.#busy;
    this.#busy = undefined;
  }

  async #renewOrJoin(): Promise<void> {
    const { followLink, callLink, onFailure } = this.#options;
    const isRenewal = this.#memberId !== undefined;
    const link = isRenewal ? followLink : callLink;
    try {
      if (!link.isUp) return;
      if (isRenewal && this.#options.mayRenew()) await this.#renew();
      if (this.#memberId === undefined && this.#options.isOneServer()) await this.#join();
    } catch (error) {
      if (link.isUp) onFailure(error);
    }
  }

  /** Gives up the lease for good and removes the member's row, so that no change waits for this sidecar. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const id = this.#memberId;
    this.#giveUp();
    // A join in flight removes its own row.
    await this.#busy;
    await this.#leave(id);
  }

  async #leave(id: string | undefined): Promise<void> {
    if (id !== undefined && this.#options.callLink.isUp) {
      await this.#options.callLink.run(this.#statements.leave, [id]).catch(() => {});
    }
  }

  async #renew(): Promise<void> {
    const { clock, limits, incarnation, followLink } = this.#options;
    const memberId = this.#memberId;
    const sentMs = clock.nowMs();
    const [row] = await followLink.run<RenewRow>(this.#statements.renew, [memberId]);
    if (row === undefined || this.#isClosed || this.#memberId !== memberId) return;
    incarnation.saw(row);
    if (!row.same) return this.#lose("database");
    if (!row.renewed) return this.#lose("expelled");
    const wasLive = this.isLive();
    this.#leaseEndMs = Math.max(this.#leaseEndMs, sentMs + limits.leaseMs);
    if (!wasLive && this.isLive()) this.#options.onRevived();
  }

  async #join(): Promise<void> {
    const { clock, limits, incarnation, callLink, randomBytes } = this.#options;
    const memberId = randomBytes(16).toString("hex");
    const sentMs = clock.nowMs();
    const values = [memberId, this.#formerId ?? ""];
    let [row] = await callLink.run<RenewRow>(this.#statements.join, values);
    if (row?.same === false) {
      await incarnation.renew(callLink, randomBytes(32));
      [row] = await callLink.run<RenewRow>(this.#statements.join, values);
    }
    if (row === undefined) return;
    incarnation.saw(row);
    if (!row.renewed) return;
    if (this.#isClosed) return this.#leave(memberId);
    this.#formerId = undefined;
    this.#memberId = memberId;
    this.#leaseEndMs = sentMs + limits.leaseMs;
    this.#options.onJoined(memberId);
  }

  #lose(reason: LossReason): void {
    this.#giveUp();
    this.#options.onLost(reason);
  }

  #giveUp(): void {
    this.#formerId = this.#memberId;
    this.#memberId = undefined;
    this.#leaseEndMs = Number.NEGATIVE_INFINITY;
  }
}

interface RenewRow extends ClusterRow {
  /** Whether the member's row was there to be renewed, or was inserted. */
  readonly renewed: boolean;
}

function statements(schema: string): Readonly<Record<"renew" | "join" | "leave", Statement>> {
  const server = `server as materialized (select ${schema}.incarnation() as incarnation)`;
  const same = `exists (select from ${schema}.cluster c join server s on s.incarnation = c.incarnation)`;
  // Where commits wait for standbys, renewals wait too: a superseded server without standbys then
  // extends no lease. Elsewhere a renewal that was lost in a crash is sent again.
  const durability = `durability as materialized (select pg_catalog.set_config('synchronous_commit',
      case pg_catalog.current_setting('synchronous_standby_names') when '' then 'off' else 'on' end, true))`;
  const result = `select c.incarnation, c.incarnation = s.incarnation as same, c.settled,
      exists (select from me) as renewed
    from ${schema}.cluster c, server s`;
  return {
    renew: {
      name: "renew",
      text: `with ${server}, ${durability}, me as (
          update ${schema}.member set counter = counter + 1 where id = $1 and ${same} returning id
        ) ${result}, durability`,
    },
    join: {
      name: "join",
      text: `with ${server}, former as (
          delete from ${schema}.member where id = $2 and ${same}
        ), me as (
          insert into ${schema}.member (id, counter) select $1, 0 where ${same} returning id
        ) ${result}`,
    },
    leave: { name: "leave-all", text: `delete from ${schema}.member where id = $1` },
  };
}
