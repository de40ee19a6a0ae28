import { CacheError } from "../../../core/model/errors.js";
import type { Position } from "../../../core/model/types.js";
import type { LeaseClock } from "../clock.js";
import { bytesOf } from "../codec/change-codec.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Session, Statement } from "../connection/session.js";
import type { FollowedHomeserver } from "../follow/followed-homeserver.js";
import type { ClusterRow, Incarnation } from "../membership/incarnation.js";
import type { PostgresLimits } from "../postgres-limits.js";

export interface AcknowledgementsOptions {
  readonly link: PostgresLink;
  readonly schema: string;
  readonly clock: LeaseClock;
  readonly limits: PostgresLimits;
  readonly incarnation: Incarnation;
  onFailure(error: unknown): void;
}

/**
 * Waits until every member has applied a position or is known to serve nothing. The
 * latter is known when the member's counter has not changed for longer than a lease
 * lasts and its row could be removed. All waits share one poll.
 */
export class Acknowledgements {
  readonly #options: AcknowledgementsOptions;
  readonly #statements: ReturnType<typeof statements>;
  #waits: Wait[] = [];
  /** Counters of members that lag, as first seen in one session. */
  #counters = new Map<string, { readonly counter: string; readonly sinceMs: number }>();
  #countersOf: Session | undefined;
  #isPolling = false;
  #wakePoll: (() => void) | undefined;

  constructor(options: AcknowledgementsOptions) {
    this.#options = options;
    this.#statements = statements(options.schema);
  }

  /** Resolves when `position`, of the incarnation in which it was committed, is confirmed; rejects if that takes too long. */
  confirmed(followed: FollowedHomeserver, position: Position, incarnation: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const endMs = this.#options.clock.nowMs() + this.#options.limits.appendMs;
      this.#waits.push({ followed, position, incarnation, endMs, resolve, reject });
      this.#wakePoll?.();
      if (!this.#isPolling) void this.#poll();
    });
  }

  /** The connection was lost: its outstanding waits are not confirmed. */
  reset(): void {
    this.#rejectAll("the connection to the log was lost");
  }

  #rejectAll(message: string): void {
    const waits = this.#waits;
    this.#waits = [];
    for (const { reject } of waits) reject(new CacheError("unavailable", `${message}; retry`));
  }

  async #poll(): Promise<void> {
    this.#isPolling = true;
    const { min, max } = this.#options.limits.acknowledgePollMs;
    let pauseMs = min;
    try {
      while (this.#waits.length > 0) {
        await this.#pollOnce();
        if (this.#waits.length === 0) return;
        const isNew = await this.#pause(pauseMs);
        pauseMs = isNew ? min : Math.min(max, pauseMs * 1.5);
      }
    } catch (error) {
      this.#options.onFailure(error);
      this.#rejectAll("the log does not show what the others have applied");
    } finally {
      this.#isPolling = false;
    }
  }

  /** Resolves with true if it ended early because a new wait began. */
  #pause(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => end(false), ms);
      const end = (isNew: boolean) => {
        clearTimeout(timer);
        this.#wakePoll = undefined;
        resolve(isNew);
      };
      this.#wakePoll = () => end(true);
    });
  }

  async #pollOnce(): Promise<void> {
    const { link, incarnation } = this.#options;
    const waits = [...this.#waits];
    const session = this.#observe(link.session);
    const rows = await session.run<PollRow>(this.#statements.poll, [
      waits.map(({ followed }) => followed.key),
      waits.map(({ position }) => bytesOf(position.epoch)),
      waits.map(({ position }) => position.sequence),
      link.incarnation,
    ]);
    const receivedMs = this.#options.clock.nowMs();
    const dead = new Map<string, string>();
    const lagging = new Set<Wait>();
    const superseded = new Set<Wait>();
    for (const row of rows) {
      const wait = waits[Number(row.n) - 1]!;
      incarnation.saw(row);
      if (!row.same || row.incarnation !== wait.incarnation || row.is_epoch !== true) superseded.add(wait);
      if (row.member === null || row.counter === null) continue;
      lagging.add(wait);
      if (this.#isDead(row.member, row.counter, receivedMs)) dead.set(row.member, row.counter);
    }
    const mayConfirm = rows.length > 0 && incarnation.mayConfirm;
    const polled = new Set(waits);
    this.#waits = this.#waits.filter((wait) => {
      if (!polled.has(wait)) return true;
      if (superseded.has(wait)) wait.reject(new CacheError("unavailable", "a new epoch began; retry"));
      else if (mayConfirm && !lagging.has(wait)) wait.resolve();
      else if (receivedMs > wait.endMs) wait.reject(new CacheError("unavailable", LATE));
      else return true;
      return false;
    });
    for (const [member, counter] of dead) await this.#expel(session, member, counter);
    if (incarnation.mayConfirm) await incarnation.settle(link);
    if (this.#waits.length === 0) this.#forgetOld(receivedMs);
  }

  /**
   * Each session observes the counters from the start, and a member is expelled only in the
   * session that observed its counter. A crash of the server ends all sessions and may undo
   * renewals, so a counter that seems unchanged may belong to a live member.
   */
  #observe(session: Session): Session {
    if (session !== this.#countersOf) this.#counters.clear();
    this.#countersOf = session;
    return session;
  }

  /** Whether its counter has not changed since a poll that was received that long ago. */
  #isDead(member: string, counter: string, receivedMs: number): boolean {
    const seen = this.#counters.get(member);
    if (seen?.counter === counter) return receivedMs - seen.sinceMs >= this.#options.limits.expelAfterMs;
    this.#counters.set(member, { counter, sinceMs: receivedMs });
    return false;
  }

  /** Removes a member unless it has renewed its lease since. */
  async #expel(session: Session, member: string, counter: string): Promise<void> {
    await session.run(this.#statements.expel, [member, counter]);
    this.#counters.delete(member);
  }

  /** Forgets old observations: live members have renewed since. */
  #forgetOld(nowMs: number): void {
    const oldestMs = nowMs - 10 * this.#options.limits.expelAfterMs;
    for (const [member, { sinceMs }] of this.#counters) {
      if (sinceMs < oldestMs) this.#counters.delete(member);
    }
  }
}

const LATE = "another sidecar did not apply the change in time; retry";

interface Wait {
  readonly followed: FollowedHomeserver;
  readonly position: Position;
  readonly incarnation: string;
  readonly endMs: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface PollRow extends ClusterRow {
  readonly n: string;
  /** Whether the head is still of the epoch of the wait; null without a head. */
  readonly is_epoch: boolean | null;
  /** A member that has not applied the position; null: none. */
  readonly member: string | null;
  readonly counter: string | null;
}

function statements(schema: string): Readonly<Record<"poll" | "expel", Statement>> {
  return {
    poll: {
      name: "poll",
      text: `select c.incarnation, c.incarnation = $4 as same, c.settled,
          w.n, h.epoch = w.epoch as is_epoch, l.member, l.counter
        from ${schema}.cluster c
        cross join unnest($1::bytea[], $2::bytea[], $3::bigint[]) with ordinality
          as w(homeserver, epoch, sequence, n)
        left join ${schema}.head h on h.homeserver = w.homeserver
        left join lateral (
          select a.member, m.counter from ${schema}.applied a join ${schema}.member m on m.id = a.member
          where a.homeserver = w.homeserver and (a.epoch <> w.epoch or a.sequence < w.sequence)
        ) l on true`,
    },
    expel: {
      name: "expel",
      text: `delete from ${schema}.member where id = $1 and counter = $2`,
    },
  };
}
