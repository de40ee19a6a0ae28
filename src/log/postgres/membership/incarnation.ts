import type { LeaseClock } from "../clock.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Statement } from "../connection/session.js";

/** What every statement that reads the recorded incarnation returns of it. */
export interface ClusterRow {
  /** The recorded incarnation. */
  readonly incarnation: string;
  /** Whether the server's incarnation is the recorded one. */
  readonly same: boolean;
  /** Whether a sidecar has waited until no lease of an earlier incarnation can be live. */
  readonly settled: boolean;
}

/**
 * What this sidecar knows of the server's incarnation. After a start, a promotion or a
 * restore of the server, sidecars that it does not list may hold leases of before; no
 * change is confirmed until they are over.
 */
export class Incarnation {
  readonly #clock: LeaseClock;
  readonly #waitMs: number;
  readonly #statements: ReturnType<typeof statements>;
  #seen: { readonly incarnation: string; readonly atMs: number } | undefined;
  #isSettled = false;

  constructor(clock: LeaseClock, waitMs: number, schema: string) {
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#statements = statements(schema);
  }

  /** The recorded incarnation that was seen last; undefined before the first. */
  get current(): string | undefined {
    return this.#seen?.incarnation;
  }

  /** Takes note of a reply. To be called on receipt: the wait begins here. */
  saw(row: ClusterRow): void {
    if (!row.same) return;
    if (this.#seen?.incarnation !== row.incarnation) {
      this.#seen = { incarnation: row.incarnation, atMs: this.#clock.nowMs() };
      this.#isSettled = false;
    }
    if (row.settled) this.#isSettled = true;
  }

  /** Whether changes may be confirmed: no lease of an earlier incarnation is live. */
  get mayConfirm(): boolean {
    return this.#isSettled || (this.#seen !== undefined && this.#waitedMs >= this.#waitMs);
  }

  /** Records that this sidecar has waited, so that sidecars that start later need not. */
  async settle(link: PostgresLink): Promise<void> {
    if (this.#isSettled || this.#seen === undefined || this.#waitedMs < this.#waitMs) return;
    const { incarnation } = this.#seen;
    await link.run(this.#statements.settle, [incarnation]);
    if (this.#seen.incarnation === incarnation) this.#isSettled = true;
  }

  /**
   * Records the server's incarnation if it is not the recorded one: in one transaction all
   * members are removed and every homeserver gets a new epoch.
   */
  async renew(link: PostgresLink, random: Buffer): Promise<void> {
    await link.runLong(this.#statements.renew, [random]);
  }

  get #waitedMs(): number {
    return this.#seen === undefined ? 0 : this.#clock.nowMs() - this.#seen.atMs;
  }
}

function statements(schema: string): { readonly settle: Statement; readonly renew: Statement } {
  return {
    settle: {
      name: "settle",
      text: `update ${schema}.cluster set settled = true
        where incarnation = $1 and incarnation = ${schema}.incarnation()`,
    },
    renew: {
      name: "renew-incarnation",
      text: `with begun as (
          update ${schema}.cluster set incarnation = ${schema}.incarnation(), settled = false
          where incarnation <> ${schema}.incarnation() returning one
        ), expelled as (
          delete from ${schema}.member using begun
        )
        update ${schema}.head
        set epoch = substring(sha256($1::bytea || homeserver) from 1 for 16),
          sequence = 0, weight = 0, reason = 'database'
        from begun`,
    },
  };
}
