import { CacheError } from "../../../core/model/errors.js";
import type { LogMember, LogMembers, MemberPosition, MembersPage, PositionsPage } from "../../port.js";
import type { LeaseClock } from "../clock.js";
import { epochOf } from "../codec/change-codec.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Statement } from "../connection/session.js";
import { causeOf } from "../failures/failures.js";
import type { PostgresLimits } from "../postgres-limits.js";

export interface MembersViewOptions {
  readonly link: PostgresLink;
  readonly schema: string;
  readonly clock: LeaseClock;
  readonly limits: PostgresLimits;
  /** This sidecar's own membership. */
  ownId(): string | undefined;
  isLive(): boolean;
}

/** The members: their number, counted at intervals, and their leases and positions, read on request. */
export class MembersView implements LogMembers {
  readonly #options: MembersViewOptions;
  readonly #statements: ReturnType<typeof statements>;
  #count = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(options: MembersViewOptions) {
    this.#options = options;
    this.#statements = statements(options.schema);
  }

  get count(): number {
    return this.#count;
  }

  async refresh(): Promise<void> {
    const [row] = await this.#options.link.run<{ count: string }>(this.#statements.count, []);
    this.#count = Number(row?.count ?? 0);
  }

  list({ afterId, limit }: MembersPage): Promise<readonly LogMember[]> {
    return this.#reading(async () => {
      const { link, ownId, isLive } = this.#options;
      const rows = await link.run<MemberRow>(this.#statements.members, [afterId, limit]);
      const own = ownId();
      const others = new Map(rows.filter(({ id }) => id !== own).map(({ id, counter }) => [id, counter]));
      const live = await this.#renewing(others);
      return rows.map(({ id, joined_ms, homeservers, lag }) => ({
        id,
        isSelf: id === own,
        isLive: id === own ? isLive() : live.has(id),
        joinedAtMs: joined_ms === null ? undefined : Number(joined_ms),
        homeservers: Number(homeservers),
        lag: Number(lag),
      }));
    });
  }

  positions({ after, limit, homeserver, memberId }: PositionsPage): Promise<readonly MemberPosition[]> {
    return this.#reading(async () => {
      const bytes = (name: string | undefined) => (name === undefined ? null : Buffer.from(name));
      const rows = await this.#options.link.run<PositionRow>(this.#statements.positions, [
        bytes(homeserver),
        memberId ?? null,
        bytes(after?.homeserver) ?? Buffer.alloc(0),
        after?.memberId ?? "",
        limit,
      ]);
      return rows.map((row) => ({
        homeserver: row.homeserver.toString("utf8"),
        memberId: row.member,
        applied: { epoch: epochOf(row.epoch), sequence: Number(row.sequence) },
        head: { epoch: epochOf(row.head_epoch), sequence: Number(row.head_sequence) },
        lag: Number(row.lag),
      }));
    });
  }

  /**
   * The members whose counter moves: each renewal of a lease raises it. Of a member whose counter
   * stands still for as long as a lease lasts, the last renewal lies further back than that.
   */
  async #renewing(counters: ReadonlyMap<string, string>): Promise<ReadonlySet<string>> {
    const { link, clock, limits } = this.#options;
    const live = new Set<string>();
    const endMs = clock.nowMs() + limits.leaseMs;
    let undecided = [...counters.keys()];
    for (let nowMs = clock.nowMs(); undecided.length > 0 && nowMs < endMs; nowMs = clock.nowMs()) {
      await pause(Math.min(limits.renewMs / 2, endMs - nowMs));
      const rows = await link.run<CounterRow>(this.#statements.counters, [undecided]);
      const now = new Map(rows.map(({ id, counter }) => [id, counter]));
      for (const id of undecided) if (now.has(id) && now.get(id) !== counters.get(id)) live.add(id);
      undecided = undecided.filter((id) => now.has(id) && !live.has(id));
    }
    return live;
  }

  /** One at a time: the session also carries the changes, which must not queue behind many of these. */
  #reading<T>(read: () => Promise<T>): Promise<T> {
    const reading = this.#last.then(read);
    this.#last = reading.then(
      () => {},
      () => {},
    );
    return reading.catch((cause: unknown) => {
      throw new CacheError("unavailable", `the log cannot be read (${causeOf(cause)})`, { cause });
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

interface CounterRow {
  readonly id: string;
  readonly counter: string;
}

interface MemberRow extends CounterRow {
  readonly joined_ms: string | null;
  readonly homeservers: string;
  readonly lag: string;
}

interface PositionRow {
  readonly homeserver: Buffer;
  readonly member: string;
  readonly epoch: Buffer;
  readonly sequence: string;
  readonly head_epoch: Buffer;
  readonly head_sequence: string;
  readonly lag: string;
}

type StatementName = "count" | "members" | "counters" | "positions";

function statements(schema: string): Readonly<Record<StatementName, Statement>> {
  const lag = "case when h.epoch = a.epoch then h.sequence - a.sequence else h.sequence + 1 end";
  return {
    count: { name: "members-count", text: `select count(*) from ${schema}.member` },
    members: {
      name: "members-list",
      // Tables that an earlier version made have no joined_at: read as JSON, it is then null.
      text: `select m.id, m.counter, p.homeservers, p.lag, trunc(
            extract(epoch from (pg_catalog.to_jsonb(m) ->> 'joined_at')::timestamptz) * 1000) as joined_ms
        from (select * from ${schema}.member where id > $1 order by id limit $2) m
        cross join lateral (
          select count(*) as homeservers, coalesce(max(${lag}), 0) as lag
          from ${schema}.applied a join ${schema}.head h on h.homeserver = a.homeserver
          where a.member = m.id
        ) p order by m.id`,
    },
    counters: {
      name: "members-counters",
      text: `select id, counter from ${schema}.member where id = any ($1::text[])`,
    },
    positions: {
      name: "members-positions",
      text: `select a.homeserver, a.member, a.epoch, a.sequence,
          h.epoch as head_epoch, h.sequence as head_sequence, ${lag} as lag
        from ${schema}.applied a join ${schema}.head h on h.homeserver = a.homeserver
        where ($1::bytea is null or a.homeserver = $1) and ($2::text is null or a.member = $2)
          and (a.homeserver, a.member) > ($3::bytea, $4::text)
        order by a.homeserver, a.member limit $5`,
    },
  };
}
