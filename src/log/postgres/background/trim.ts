import type { LeaseClock } from "../clock.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Session, Statement } from "../connection/session.js";
import type { FollowedHomeserver } from "../follow/followed-homeserver.js";
import { type PostgresLimits, TRIM_HOMESERVERS_MAX, TRIM_ROWS_MAX } from "../postgres-limits.js";

/**
 * Removes changes beyond the bounds of age and count, and members that died while there
 * were no appends. Every sidecar does this for the homeservers that it follows, one at a
 * time under a lock.
 */
export class Trimmer {
  readonly #link: PostgresLink;
  readonly #clock: LeaseClock;
  readonly #limits: PostgresLimits;
  readonly #statements: ReturnType<typeof statements>;
  /** The members' counters as an earlier run has seen them. */
  #seen: SeenCounters | undefined;

  constructor(link: PostgresLink, clock: LeaseClock, limits: PostgresLimits, schema: string) {
    this.#link = link;
    this.#clock = clock;
    this.#limits = limits;
    this.#statements = statements(schema);
  }

  async run(followed: readonly FollowedHomeserver[]): Promise<void> {
    await this.#expelDead();
    const { retainMs, retainEventIds } = this.#limits;
    for (let start = 0; start < followed.length; start += TRIM_HOMESERVERS_MAX) {
      const keys = followed.slice(start, start + TRIM_HOMESERVERS_MAX).map(({ key }) => key);
      const due = await this.#link.run<{ homeserver: Buffer }>(this.#statements.due, [
        keys,
        retainMs / 1000,
        retainEventIds,
      ]);
      for (const { homeserver } of due) await this.#trim(homeserver);
    }
    await this.#removeAbandoned();
  }

  /** Removes logs without a follower or an append for as long as changes are kept. If one is used again, it gets a new epoch. */
  async #removeAbandoned(): Promise<void> {
    const ageS = this.#limits.retainMs / 1000;
    const rows = await this.#link.run<{ homeserver: Buffer }>(this.#statements.abandoned, [ageS]);
    for (const { homeserver } of rows) {
      await this.#trim(homeserver);
      await this.#link.run(this.#statements.remove, [homeserver, ageS]);
    }
  }

  async #trim(homeserver: Buffer): Promise<void> {
    const { retainMs, retainEventIds } = this.#limits;
    const values = [homeserver, retainMs / 1000, retainEventIds];
    let removed = TRIM_ROWS_MAX;
    while (removed >= TRIM_ROWS_MAX) {
      const [row] = await this.#link.run<{ removed: string }>(this.#statements.trim, values);
      removed = Number(row?.removed ?? 0);
    }
  }

  /** Compares observations of one session only: a crash of the server, which ends the session, may undo renewals. */
  async #expelDead(): Promise<void> {
    const { session } = this.#link;
    const before = this.#seen?.session === session ? this.#seen : undefined;
    const rows = await session.run<{ id: string; counter: string }>(this.#statements.members, []);
    const atMs = this.#clock.nowMs();
    if (before !== undefined && atMs - before.atMs < this.#limits.expelAfterMs) return;
    this.#seen = { session, counters: new Map(rows.map(({ id, counter }) => [id, counter])), atMs };
    const dead = rows.filter(({ id, counter }) => before?.counters.get(id) === counter);
    if (dead.length === 0) return;
    await session.run(this.#statements.expel, [dead.map(({ id }) => id), dead.map(({ counter }) => counter)]);
  }
}

interface SeenCounters {
  readonly session: Session;
  readonly counters: ReadonlyMap<string, string>;
  readonly atMs: number;
}

type StatementName = "members" | "expel" | "due" | "trim" | "abandoned" | "remove";

function statements(schema: string): Readonly<Record<StatementName, Statement>> {
  const isAbandoned = (age: string) => `h.at < pg_catalog.now() - pg_catalog.make_interval(secs => ${age})
          and not exists (select from ${schema}.applied a where a.homeserver = h.homeserver)`;
  const isBeyond =
    "(c.at < pg_catalog.now() - pg_catalog.make_interval(secs => $2) or c.weight <= h.weight - $3)";
  const oldest = (limit: number) => `(
          select c.ctid, c.at, c.weight from ${schema}.change c
          where c.homeserver = h.homeserver and c.epoch = h.epoch order by c.sequence limit ${limit}
        )`;
  const ofOtherEpochs = (limit: number) => `(
          select c.ctid from ${schema}.change c
          where c.homeserver = h.homeserver and (c.epoch < h.epoch or c.epoch > h.epoch) limit ${limit}
        )`;
  return {
    members: { name: "members", text: `select id, counter from ${schema}.member` },
    expel: {
      name: "expel-many",
      text: `delete from ${schema}.member m using unnest($1::text[], $2::bigint[]) as d(id, counter)
        where m.id = d.id and m.counter = d.counter`,
    },
    // Looks at one or two rows of each homeserver.
    due: {
      name: "trim-due",
      text: `select h.homeserver from ${schema}.head h where h.homeserver = any ($1::bytea[])
        and (exists (select from ${oldest(1)} c where ${isBeyond}) or exists ${ofOtherEpochs(1)})`,
    },
    abandoned: {
      name: "abandoned",
      text: `select h.homeserver from ${schema}.head h where ${isAbandoned("$1")} limit ${TRIM_HOMESERVERS_MAX}`,
    },
    // A follow or an append in between changes "at", which is checked again under the row's lock.
    remove: {
      name: "remove-head",
      text: `delete from ${schema}.head h where h.homeserver = $1 and ${isAbandoned("$2")}
          and not exists (select from ${schema}.change c where c.homeserver = h.homeserver)`,
    },
    trim: {
      name: "trim",
      text: `with gone as (
          delete from ${schema}.change where ctid = any (array(
            select c.ctid from ${schema}.head h, lateral ${oldest(TRIM_ROWS_MAX)} c
            where h.homeserver = $1 and ${isBeyond}
            union all
            select c.ctid from ${schema}.head h, lateral ${ofOtherEpochs(TRIM_ROWS_MAX)} c where h.homeserver = $1
          )) returning 1
        ) select count(*) as removed from gone`,
    },
  };
}
