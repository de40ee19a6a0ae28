import type { Position } from "../../../core/model/types.js";
import { bytesOf, epochOf } from "../codec/change-codec.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Statement } from "../connection/session.js";
import { causeOf } from "../failures/failures.js";
import type { Enrolment, FollowedHomeserver } from "./followed-homeserver.js";

/** How often one report is tried: the second time with the epoch that the row has. */
const ATTEMPTS = 2;

export interface ReportsOptions {
  readonly link: PostgresLink;
  readonly schema: string;
  memberId(): string | undefined;
  onFailure(error: unknown): void;
}

/** Reports the applied positions of this sidecar. Other sidecars' changes wait for the reports. */
export class Reports {
  readonly #link: PostgresLink;
  readonly #memberId: () => string | undefined;
  readonly #onFailure: (error: unknown) => void;
  readonly #statements: ReturnType<typeof statements>;

  constructor({ link, schema, memberId, onFailure }: ReportsOptions) {
    this.#link = link;
    this.#memberId = memberId;
    this.#onFailure = onFailure;
    this.#statements = statements(schema);
  }

  /**
   * Reports the current positions of the enrolled copies that are not reported yet. Returns the
   * copies whose row refused the report: they are no longer enrolled.
   */
  async send(batch: readonly FollowedHomeserver[]): Promise<readonly FollowedHomeserver[]> {
    try {
      return await this.#send(batch);
    } catch (error) {
      if (causeOf(error) !== "lock") throw error;
      this.#onFailure(error);
      return batch.length === 1 ? [] : this.#sendEach(batch);
    }
  }

  /** A locked row delays only the reports of its own homeserver. The next poll repeats failed reports. */
  async #sendEach(batch: readonly FollowedHomeserver[]): Promise<readonly FollowedHomeserver[]> {
    const lost = await Promise.all(batch.map((followed) => this.send([followed])));
    return lost.flat();
  }

  /** Whether a report is outstanding. */
  isDue(followed: FollowedHomeserver): boolean {
    return dueOf(followed, this.#memberId()).length > 0;
  }

  async #send(batch: readonly FollowedHomeserver[]): Promise<readonly FollowedHomeserver[]> {
    let due: readonly Due[] = batch.flatMap((followed) => dueOf(followed, this.#memberId()));
    for (let attempt = 0; due.length > 0 && attempt < ATTEMPTS; attempt += 1) {
      const taken = await this.#report(due);
      for (const one of due) if (taken.has(one.key)) setReported(one);
      due = due.filter(({ key }) => !taken.has(key));
      if (due.length > 0) due = await this.#compare(due);
    }
    return due.map(({ followed }) => followed);
  }

  /** Returns the homeservers whose rows took the report. */
  async #report(due: readonly Due[]): Promise<ReadonlySet<string>> {
    const link = this.#link;
    const [first] = due;
    // The usual case costs the server half as much as the general one.
    const rows =
      due.length === 1 && first !== undefined
        ? await link.run<RowOf>(this.#statements.reportOne, [
            first.enrolment.memberId,
            first.followed.key,
            bytesOf(first.enrolment.rowEpoch),
            bytesOf(first.position.epoch),
            first.position.sequence,
            link.incarnation,
          ])
        : await link.run<RowOf>(this.#statements.report, [
            first?.enrolment.memberId,
            due.map(({ followed }) => followed.key),
            due.map(({ enrolment }) => bytesOf(enrolment.rowEpoch)),
            due.map(({ position }) => bytesOf(position.epoch)),
            due.map(({ position }) => position.sequence),
            link.incarnation,
          ]);
    return new Set(rows.map(({ homeserver }) => homeserver.toString("hex")));
  }

  /**
   * Reads the rows that refused the report. A crash of the server may have undone an earlier
   * report, so that a row has an earlier epoch. Returns the reports that are still due.
   */
  async #compare(due: readonly Due[]): Promise<readonly Due[]> {
    const rows = await this.#link.run<PositionRow>(this.#statements.rows, [
      due[0]?.enrolment.memberId,
      due.map(({ followed }) => followed.key),
      this.#link.incarnation,
    ]);
    const found = new Map(rows.map((row) => [row.homeserver.toString("hex"), row]));
    return due.filter((one) => {
      const row = found.get(one.key);
      if (row === undefined) return true;
      const { position, enrolment } = one;
      enrolment.rowEpoch = epochOf(row.epoch);
      const isAhead = enrolment.rowEpoch === position.epoch && Number(row.sequence) >= position.sequence;
      if (isAhead) setReported(one);
      return !isAhead;
    });
  }
}

function dueOf(followed: FollowedHomeserver, memberId: string | undefined): readonly Due[] {
  const { enrolment, copy } = followed;
  const { position } = copy;
  if (enrolment === undefined || enrolment.memberId !== memberId) return [];
  if (enrolment.headEpoch !== position.epoch || followed.isDistrusted) return [];
  const { reported } = enrolment;
  const isReported = reported?.epoch === position.epoch && reported.sequence === position.sequence;
  return isReported ? [] : [{ followed, key: followed.key.toString("hex"), position, enrolment }];
}

function setReported({ enrolment, position }: Due): void {
  enrolment.reported = position;
  enrolment.rowEpoch = position.epoch;
}

interface Due {
  readonly followed: FollowedHomeserver;
  /** In hexadecimal digits. */
  readonly key: string;
  readonly position: Position;
  readonly enrolment: Enrolment;
}

interface RowOf {
  readonly homeserver: Buffer;
}

interface PositionRow extends RowOf {
  readonly epoch: Buffer;
  readonly sequence: string;
}

/**
 * A report names the epoch of the row, so that a late execution changes nothing in a later
 * epoch. It never moves the row's position back.
 */
function statements(schema: string): Readonly<Record<"report" | "reportOne" | "rows", Statement>> {
  return {
    reportOne: {
      name: "report-one",
      text: `update ${schema}.applied set epoch = $4, sequence = $5
        where member = $1 and homeserver = $2 and epoch in ($3, $4) and (epoch <> $4 or sequence < $5)
          and exists (select from ${schema}.cluster where incarnation = $6)
        returning homeserver`,
    },
    report: {
      name: "report",
      text: `update ${schema}.applied a set epoch = r.epoch, sequence = r.sequence
        from unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
          as r(homeserver, row_epoch, epoch, sequence)
        join ${schema}.cluster on cluster.incarnation = $6
        where a.member = $1 and a.homeserver = r.homeserver and a.epoch in (r.row_epoch, r.epoch)
          and (a.epoch <> r.epoch or a.sequence < r.sequence)
        returning a.homeserver`,
    },
    rows: {
      name: "report-rows",
      text: `select a.homeserver, a.epoch, a.sequence
        from ${schema}.applied a join ${schema}.cluster on cluster.incarnation = $3
        where a.member = $1 and a.homeserver = any ($2::bytea[])`,
    },
  };
}
