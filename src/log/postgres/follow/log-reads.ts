import type { Epoch } from "../../../core/model/types.js";
import { bytesOf, epochOf } from "../codec/change-codec.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Statement } from "../connection/session.js";
import { READ_BYTES_MAX, READ_CHANGES_MAX } from "../postgres-limits.js";
import type { FollowedHomeserver } from "./followed-homeserver.js";

/** One row of a read: the head of a homeserver's log, with one change after the copy's position if there is one. */
export interface ReadRow {
  readonly followed: FollowedHomeserver;
  readonly epoch: Epoch;
  readonly head: number;
  /** Why the epoch began. */
  readonly reason: string;
  readonly change: { readonly sequence: number; readonly bytes: Buffer } | undefined;
}

/** The statements that read homeservers' logs. */
export class LogReads {
  readonly #link: PostgresLink;
  readonly #statements: ReturnType<typeof statements>;

  constructor(link: PostgresLink, schema: string) {
    this.#link = link;
    this.#statements = statements(schema);
  }

  /**
   * Heads, and changes in order, in one snapshot: those after each copy's position, or all of
   * them if the copy is in another epoch; as many as fit into one reply.
   */
  async read(batch: readonly FollowedHomeserver[]): Promise<readonly ReadRow[]> {
    // Each has its share of the bytes of one reply, and one change in any case.
    const bytesMax = Math.floor(READ_BYTES_MAX / Math.max(1, batch.length));
    const values = [...positionsOf(batch), this.#link.incarnation, bytesMax];
    const rows = await this.#link.run<SqlRow>(this.#statements.read, values);
    return rows.map(({ n, epoch, head, reason, sequence, change }) => ({
      followed: batch[Number(n) - 1]!,
      epoch: epochOf(epoch),
      head: Number(head),
      reason,
      change: change === null ? undefined : { sequence: Number(sequence), bytes: change },
    }));
  }

  /** Those whose head is not where their copy is. */
  async moved(all: readonly FollowedHomeserver[]): Promise<readonly FollowedHomeserver[]> {
    if (all.length === 0) return [];
    const rows = await this.#link.run<{ n: string }>(this.#statements.moved, positionsOf(all));
    return rows.map(({ n }) => all[Number(n) - 1]!);
  }
}

interface SqlRow {
  readonly n: string;
  readonly epoch: Buffer;
  readonly head: string;
  readonly reason: string;
  readonly sequence: string | null;
  readonly change: Buffer | null;
}

function positionsOf(batch: readonly FollowedHomeserver[]): [Buffer[], Buffer[], number[]] {
  return [
    batch.map(({ key }) => key),
    batch.map(({ copy }) => bytesOf(copy.position.epoch)),
    batch.map(({ copy }) => copy.position.sequence),
  ];
}

function statements(schema: string): Readonly<Record<"read" | "moved", Statement>> {
  const copies =
    "unnest($1::bytea[], $2::bytea[], $3::bigint[]) with ordinality as f(homeserver, epoch, sequence, n)";
  return {
    read: {
      name: "read",
      text: `select f.n, h.epoch, h.sequence as head, h.reason, c.sequence, c.change
        from ${copies}
        join ${schema}.head h on h.homeserver = f.homeserver
        join ${schema}.cluster on cluster.incarnation = $4
        left join lateral (
          select sequence, change from (
            select sequence, change,
              sum(octet_length(change)) over (order by sequence) - octet_length(change) as before
            from (
              select sequence, change from ${schema}.change
              where change.homeserver = h.homeserver and change.epoch = h.epoch
                and change.sequence > case when h.epoch = f.epoch then f.sequence else -1 end
              order by sequence limit ${READ_CHANGES_MAX}
            ) page
          ) sized where before < $5::bigint
        ) c on true
        order by f.n, c.sequence`,
    },
    moved: {
      name: "moved",
      text: `select f.n from ${copies} join ${schema}.head h on h.homeserver = f.homeserver
        where h.epoch <> f.epoch or h.sequence <> f.sequence`,
    },
  };
}
