import { epochOf } from "./epoch-bytes.js";
import type { Enrolment, FollowedHomeserver } from "./followed-homeserver.js";
import type { Link } from "./link.js";
import type { Statement } from "./session.js";

/**
 * Puts this sidecar's rows into `applied`, and takes them out. From the transaction that
 * inserts a row on, changes of that homeserver wait for this sidecar.
 */
export class Enrolments {
  readonly #link: Link;
  readonly #statements: ReturnType<typeof statements>;
  readonly #newEpoch: () => Buffer;

  constructor(link: Link, schema: string, newEpoch: () => Buffer) {
    this.#link = link;
    this.#statements = statements(schema);
    this.#newEpoch = newEpoch;
  }

  /** Enrols at the head of the log. Undefined if the member has been expelled, or the incarnation is not recorded yet. */
  async enrol(followed: FollowedHomeserver, memberId: string): Promise<Enrolment | undefined> {
    const [row] = await this.#link.run<{ epoch: Buffer; sequence: string }>(this.#statements.enrol, [
      followed.key,
      this.#newEpoch(),
      memberId,
    ]);
    if (row === undefined) return undefined;
    const rowEpoch = epochOf(row.epoch);
    return { memberId, rowEpoch, reported: { epoch: rowEpoch, sequence: Number(row.sequence) } };
  }

  /** Removes the row. The copy is empty already. */
  async leave(followed: FollowedHomeserver, memberId: string): Promise<void> {
    await this.#link.run(this.#statements.leave, [followed.key, memberId]);
  }

  /** Makes the head of a log that has none. */
  async createHead(followed: FollowedHomeserver): Promise<void> {
    await this.#link.run(this.#statements.create, [followed.key, this.#newEpoch()]);
  }

  /** Removes rows that a late statement has left behind: changes would wait for them. */
  async sweep(followed: readonly FollowedHomeserver[], memberId: string): Promise<void> {
    await this.#link.run(this.#statements.sweep, [memberId, followed.map(({ key }) => key)]);
  }
}

function statements(schema: string): Readonly<Record<"enrol" | "leave" | "create" | "sweep", Statement>> {
  const newHead = `insert into ${schema}.head (homeserver, epoch, sequence, weight, reason)
      select $1, $2, 0, 0, 'asked' from ${schema}.cluster where incarnation = ${schema}.incarnation()
      on conflict (homeserver)`;
  return {
    // The update that changes nothing locks the row until commit. A row that is there already
    // stays as it is: this statement may be executed late, after a later one of this sidecar.
    enrol: {
      name: "enrol",
      text: `with here as (
          ${newHead} do update set sequence = head.sequence returning epoch, sequence
        ), mine as (
          insert into ${schema}.applied (homeserver, member, epoch, sequence)
          select $1, m.id, here.epoch, here.sequence from here, ${schema}.member m where m.id = $3
          on conflict (homeserver, member) do nothing
          returning epoch, sequence
        )
        select epoch, sequence from mine
        union all
        select a.epoch, a.sequence from ${schema}.applied a, here where a.homeserver = $1 and a.member = $3
        limit 1`,
    },
    leave: {
      name: "leave",
      text: `delete from ${schema}.applied where homeserver = $1 and member = $2`,
    },
    create: { name: "create-head", text: `${newHead} do nothing` },
    sweep: {
      name: "sweep-applied",
      text: `delete from ${schema}.applied where member = $1 and homeserver <> all ($2::bytea[])`,
    },
  };
}
