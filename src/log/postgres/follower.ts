import type { Position } from "../../core/types.js";
import { decodeChange } from "./change-codec.js";
import { bytesOf, epochOf } from "./epoch-bytes.js";
import type { Enrolment, FollowedHomeserver } from "./followed-homeserver.js";
import type { Link } from "./link.js";
import type { NotifiedChanges } from "./notification.js";
import { APPLY_SLICE_MS, READ_BYTES_MAX, READ_CHANGES_MAX, READ_HOMESERVERS_MAX } from "./postgres-limits.js";
import type { Reports } from "./reports.js";
import type { Statement } from "./session.js";

export interface FollowerOptions {
  readonly link: Link;
  readonly schema: string;
  readonly reports: Reports;
  /** The copy has reached the head but this sidecar is not enrolled yet. */
  onReachedHead(followed: FollowedHomeserver): void;
  /** The log ends before what was applied, in the same epoch: the database was replaced by an older state. */
  onBackwards(followed: FollowedHomeserver): void;
  nowMs(): number;
}

/**
 * Reads what comes after each copy's position, applies it in order, and reports it. The
 * head and the changes are read in one statement, so a change that is missing and an
 * epoch that began show.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #statements: ReturnType<typeof statements>;
  /** To be read and reported. */
  readonly #dirty = new Set<FollowedHomeserver>();
  /** To be reported. */
  readonly #due = new Set<FollowedHomeserver>();
  #isRunning = false;
  #isFailing = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#statements = statements(options.schema);
  }

  /** Whether the last read failed. A sidecar that cannot read must not keep its lease: changes would wait for it. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** A new session: what is not known to be read or reported is read and reported again. */
  restart(all: readonly FollowedHomeserver[]): void {
    if (all.length === 0) this.#isFailing = false;
    for (const followed of all) {
      // A crash of the server may have lost the last reports.
      if (followed.enrolment !== undefined) followed.enrolment.reported = undefined;
      this.wake(followed);
    }
  }

  wake(followed: FollowedHomeserver): void {
    this.#dirty.add(followed);
    this.#start();
  }

  /**
   * Something was appended. Changes that come with the notification are applied at once if
   * they follow on what the copy has; they were committed, and in this order. All else is read.
   */
  notified(followed: FollowedHomeserver, news: NotifiedChanges | undefined): void {
    const { epoch, sequence } = followed.copy.position;
    if (news === undefined || news.epoch !== epoch || news.first > sequence + 1) {
      this.wake(followed);
      return;
    }
    for (const bytes of news.changes.slice(sequence + 1 - news.first)) {
      const { token, change } = decodeChange(bytes);
      followed.applyNext(token, change);
    }
    this.#due.add(followed);
    this.#start();
  }

  forget(followed: FollowedHomeserver): void {
    this.#dirty.delete(followed);
    this.#due.delete(followed);
  }

  /** Wakes those whose head is not where their copy is, and counts them: a notification may have been lost. */
  async poll(all: readonly FollowedHomeserver[]): Promise<number> {
    const values = columns(all);
    if (all.length === 0) return 0;
    const rows = await this.#options.link.run<{ n: string }>(this.#statements.moved, values);
    for (const { n } of rows) {
      const followed = all[Number(n) - 1];
      if (followed !== undefined && !followed.hasLeft) this.wake(followed);
    }
    return rows.length;
  }

  #start(): void {
    if (!this.#isRunning && this.#options.link.isUp) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#dirty.size + this.#due.size > 0) {
        await this.#options.reports.send(take(this.#due, READ_HOMESERVERS_MAX));
        await this.#read(take(this.#dirty, READ_HOMESERVERS_MAX));
        this.#isFailing = false;
      }
    } catch (error) {
      this.#isFailing = true;
      // What was read is not known to be all: a new session reads everything again.
      this.#options.link.replace(error);
    } finally {
      this.#isRunning = false;
    }
  }

  async #read(batch: readonly FollowedHomeserver[]): Promise<void> {
    const { link, nowMs } = this.#options;
    if (batch.length === 0) return;
    const sent = batch.map(({ enrolment, copy }) => ({ enrolment, position: copy.position }));
    const rows = await link.run<ReadRow>(this.#statements.read, [...columns(batch), link.incarnation]);
    const heads = new Map<FollowedHomeserver, ReadRow>();
    let sliceMs = nowMs();
    for (const row of rows) {
      const index = Number(row.n) - 1;
      const followed = batch[index]!;
      if (followed.hasLeft) continue;
      if (!heads.has(followed)) this.#enter(followed, row, sent[index]!.position);
      heads.set(followed, row);
      if (row.change !== null) this.#apply(followed, row);
      if (nowMs() - sliceMs <= APPLY_SLICE_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      sliceMs = nowMs();
    }
    await this.#options.reports.send(batch);
    for (const [index, followed] of batch.entries()) this.#goOn(followed, heads.get(followed), sent[index]!);
  }

  /**
   * Takes a new epoch, or finds that the log has gone back. It is compared with the position
   * of when the read was sent: notifications may have brought more meanwhile.
   */
  #enter(followed: FollowedHomeserver, row: ReadRow, sent: Position): void {
    const { position } = followed.copy;
    const epoch = epochOf(row.epoch);
    const head = Number(row.head);
    if (epoch !== position.epoch) {
      const first = row.sequence === null ? head : Number(row.sequence) - 1;
      followed.restart({ epoch, sequence: first }, row.reason === "database" ? "database" : "asked");
    } else if (epoch === sent.epoch && head < sent.sequence) {
      followed.distrust();
      this.#options.onBackwards(followed);
    } else if (row.change === null && head > position.sequence) {
      followed.restart({ epoch, sequence: head }, "gap");
    }
  }

  #apply(followed: FollowedHomeserver, row: ReadRow): void {
    const { position } = followed.copy;
    const sequence = Number(row.sequence);
    const epoch = epochOf(row.epoch);
    // The copy may have been restarted by a lost lease while a slice waited; what follows is read again.
    if (position.epoch !== epoch || sequence <= position.sequence) return;
    if (sequence !== position.sequence + 1) followed.restart({ epoch, sequence: sequence - 1 }, "gap");
    const { token, change } = decodeChange(row.change!);
    followed.applyNext(token, change);
  }

  /** What was enrolled before the read was sent is loaded once the read has reached the head. */
  #goOn(followed: FollowedHomeserver, row: ReadRow | undefined, sent: Sent): void {
    if (followed.hasLeft) return;
    if (row !== undefined) {
      const { epoch, sequence } = followed.copy.position;
      const head = Number(row.head);
      if (epoch !== epochOf(row.epoch) || sequence < head) {
        this.#dirty.add(followed);
        return;
      }
      // A log that went back is followed again in its next epoch.
      if (sent.position.epoch === epoch && sent.position.sequence > head) return;
      if (sent.enrolment !== undefined && followed.enrolment === sent.enrolment) followed.loaded();
    }
    if (followed.enrolment === undefined) this.#options.onReachedHead(followed);
  }
}

/** Where a copy was when a read was sent. */
interface Sent {
  readonly enrolment: Enrolment | undefined;
  readonly position: Position;
}

interface ReadRow {
  readonly n: string;
  readonly epoch: Buffer;
  readonly head: string;
  readonly reason: string;
  readonly sequence: string | null;
  readonly change: Buffer | null;
}

function take<T>(set: Set<T>, countMax: number): T[] {
  const taken = [...set].slice(0, countMax);
  for (const item of taken) set.delete(item);
  return taken;
}

/** Where each copy is. */
function columns(batch: readonly FollowedHomeserver[]): [Buffer[], Buffer[], number[]] {
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
          ) sized where before < ${READ_BYTES_MAX}
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
