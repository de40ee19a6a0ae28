import { epochOf } from "../codec/change-codec.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Statement } from "../connection/session.js";
import type { Enrolment, FollowedHomeserver } from "./followed-homeserver.js";

export interface EnrolmentsOptions {
  readonly link: PostgresLink;
  readonly schema: string;
  newEpoch(): Buffer;
  /** Whether the log is followed at the server at which rows are inserted. */
  isOneServer(): boolean;
  memberId(): string | undefined;
  onEnrolled(followed: FollowedHomeserver): void;
  /** The member has been expelled, or the server's incarnation is not recorded yet. */
  onRefused(): void;
  onFailure(error: unknown): void;
}

/**
 * Puts this sidecar's rows into `applied`, and takes them out. From the transaction that
 * inserts a row on, changes of that homeserver wait for this sidecar.
 */
export class Enrolments {
  readonly #options: EnrolmentsOptions;
  readonly #link: PostgresLink;
  readonly #statements: ReturnType<typeof statements>;
  readonly #pending = new Set<FollowedHomeserver>();
  /**
   * The number of the newest enrolment. Each row carries its own number, so a statement that
   * is executed late, after its connection was abandoned, does not change later enrolments.
   */
  #number = 0;

  constructor(options: EnrolmentsOptions) {
    this.#options = options;
    this.#link = options.link;
    this.#statements = statements(options.schema);
  }

  /** Enrols at the head of the log, if this sidecar is a member. The next poll repeats a failed attempt. */
  async enrol(followed: FollowedHomeserver): Promise<void> {
    const { memberId, newEpoch, isOneServer, onEnrolled, onRefused, onFailure } = this.#options;
    const member = memberId();
    if (member === undefined || !isOneServer() || this.#pending.has(followed)) return;
    this.#pending.add(followed);
    this.#number += 1;
    const number = this.#number;
    try {
      const values = [followed.key, newEpoch(), member, number];
      const [row] = await this.#link.run<EnrolRow>(this.#statements.enrol, values);
      if (row === undefined) onRefused();
      else if (followed.hasLeft) await this.#link.run(this.#statements.leave, [followed.key, member, number]);
      else if (memberId() === member) {
        followed.enrolment = enrolmentOf(member, row);
        onEnrolled(followed);
      }
    } catch (error) {
      if (this.#link.isUp) onFailure(error);
    } finally {
      this.#pending.delete(followed);
    }
  }

  /** Removes the row, even one whose insertion is in flight. The copy is empty by then. */
  async leave(followed: FollowedHomeserver): Promise<void> {
    const member = this.#pending.has(followed) ? this.#options.memberId() : followed.enrolment?.memberId;
    if (member === undefined) return;
    await this.#link.run(this.#statements.leave, [followed.key, member, this.#number]);
  }

  /** Makes the head of a log that has none. */
  async createHead(followed: FollowedHomeserver): Promise<void> {
    await this.#link.run(this.#statements.create, [followed.key, this.#options.newEpoch()]);
  }

  /** Removes rows that a late statement left behind: changes would wait for them. */
  async sweep(followed: readonly FollowedHomeserver[]): Promise<void> {
    const member = this.#options.memberId();
    if (member === undefined) return;
    await this.#link.run(this.#statements.sweep, [member, followed.map(({ key }) => key), this.#number]);
  }
}

interface EnrolRow {
  readonly epoch: Buffer;
  readonly sequence: string;
}

function enrolmentOf(memberId: string, { epoch, sequence }: EnrolRow): Enrolment {
  const rowEpoch = epochOf(epoch);
  return {
    memberId,
    rowEpoch,
    headEpoch: rowEpoch,
    reported: { epoch: rowEpoch, sequence: Number(sequence) },
  };
}

function statements(schema: string): Readonly<Record<"enrol" | "leave" | "create" | "sweep", Statement>> {
  const newHead = `insert into ${schema}.head (homeserver, epoch, sequence, weight, reason)
      select $1, $2, 0, 0, 'asked' from ${schema}.cluster where incarnation = ${schema}.incarnation()
      on conflict (homeserver)`;
  return {
    // The update locks the row until commit. An existing row keeps its position: this statement
    // may be executed late, after a later one of this sidecar, and must then change nothing.
    enrol: {
      name: "enrol",
      text: `with here as (
          ${newHead} do update set at = pg_catalog.now() returning epoch, sequence
        ), mine as (
          insert into ${schema}.applied as a (homeserver, member, epoch, sequence, enrolment)
          select $1, m.id, here.epoch, here.sequence, $4 from here, ${schema}.member m where m.id = $3
          on conflict (homeserver, member) do update set enrolment = excluded.enrolment
            where a.enrolment < excluded.enrolment
          returning a.epoch, a.sequence
        )
        select epoch, sequence from mine`,
    },
    leave: {
      name: "leave",
      text: `delete from ${schema}.applied where homeserver = $1 and member = $2 and enrolment <= $3`,
    },
    create: { name: "create-head", text: `${newHead} do nothing` },
    sweep: {
      name: "sweep-applied",
      text: `delete from ${schema}.applied
        where member = $1 and homeserver <> all ($2::bytea[]) and enrolment <= $3`,
    },
  };
}
