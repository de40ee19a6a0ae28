import type { Position } from "../../core/types.js";
import { bytesOf } from "./epoch-bytes.js";
import type { Enrolment, FollowedHomeserver } from "./followed-homeserver.js";
import type { Link } from "./link.js";
import type { Statement } from "./session.js";

/** Tells the other sidecars what this one has applied: changes wait for it. */
export class Reports {
  readonly #link: Link;
  readonly #memberId: () => string | undefined;
  readonly #statements: ReturnType<typeof statements>;

  constructor(link: Link, schema: string, memberId: () => string | undefined) {
    this.#link = link;
    this.#memberId = memberId;
    this.#statements = statements(schema);
  }

  /** Reports the copies' positions as they are now, of those that are enrolled and not reported yet. */
  async send(batch: readonly FollowedHomeserver[]): Promise<void> {
    const memberId = this.#memberId();
    const due = batch.flatMap(({ key, copy: { position }, enrolment }) => {
      if (enrolment === undefined || enrolment.memberId !== memberId) return [];
      const { reported } = enrolment;
      const isReported = reported?.epoch === position.epoch && reported.sequence === position.sequence;
      return isReported ? [] : [{ key, position, enrolment }];
    });
    if (due.length === 0) return;
    const [first] = due;
    if (due.length === 1 && first !== undefined) await this.#reportOne(first);
    else
      await this.#link.run(this.#statements.report, [
        memberId,
        due.map(({ key }) => key),
        due.map(({ enrolment }) => bytesOf(enrolment.rowEpoch)),
        due.map(({ position }) => bytesOf(position.epoch)),
        due.map(({ position }) => position.sequence),
        this.#link.incarnation,
      ]);
    for (const { enrolment, position } of due) {
      enrolment.reported = position;
      enrolment.rowEpoch = position.epoch;
    }
  }

  /** The usual case costs the server half of what the general one does. */
  async #reportOne({ key, position, enrolment }: Due): Promise<void> {
    const link = this.#link;
    const epochs = [bytesOf(enrolment.rowEpoch), bytesOf(position.epoch)];
    await link.run(this.#statements.reportOne, [
      enrolment.memberId,
      key,
      ...epochs,
      position.sequence,
      link.incarnation,
    ]);
  }
}

interface Due {
  readonly key: Buffer;
  readonly position: Position;
  readonly enrolment: Enrolment;
}

/**
 * A report names the epoch that the row has, so that one which is executed late changes
 * nothing in a later epoch; and it never takes the row back.
 */
function statements(schema: string): Readonly<Record<"report" | "reportOne", Statement>> {
  return {
    reportOne: {
      name: "report-one",
      text: `update ${schema}.applied set epoch = $4, sequence = $5
        where member = $1 and homeserver = $2 and epoch in ($3, $4) and (epoch <> $4 or sequence < $5)
          and exists (select from ${schema}.cluster where incarnation = $6)`,
    },
    report: {
      name: "report",
      text: `update ${schema}.applied a set epoch = r.epoch, sequence = r.sequence
        from unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
          as r(homeserver, row_epoch, epoch, sequence)
        join ${schema}.cluster on cluster.incarnation = $6
        where a.member = $1 and a.homeserver = r.homeserver and a.epoch in (r.row_epoch, r.epoch)
          and (a.epoch <> r.epoch or a.sequence < r.sequence)`,
    },
  };
}
