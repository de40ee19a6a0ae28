import type { Position } from "../../../core/model/types.js";
import { decodeChange } from "../codec/change-codec.js";
import type { NotifiedChanges } from "../codec/notification.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import { APPLY_SLICE_MS, READ_HOMESERVERS_MAX } from "../postgres-limits.js";
import type { Enrolment, FollowedHomeserver } from "./followed-homeserver.js";
import type { LogReads, ReadRow } from "./log-reads.js";
import type { Reports } from "./reports.js";

export interface FollowerOptions {
  readonly link: PostgresLink;
  readonly reads: LogReads;
  readonly reports: Reports;
  /** Whether the log is read from the server at which this sidecar is enrolled. */
  isOneServer(): boolean;
  /** The copy has reached the head but this sidecar is not enrolled yet. */
  onReachedHead(followed: FollowedHomeserver): void;
  /** The log ends before what was applied, in the same epoch: the database was replaced by an older state. */
  onBackwards(followed: FollowedHomeserver): void;
  nowMs(): number;
}

/**
 * Reads the changes after each copy's position, applies them in order, and reports them.
 * One statement reads the head and the changes, so missing changes and new epochs are
 * detected.
 */
export class Follower {
  readonly #options: FollowerOptions;
  /** To be read and reported. */
  readonly #dirty = new Set<FollowedHomeserver>();
  /** To be reported. */
  readonly #due = new Set<FollowedHomeserver>();
  #isRunning = false;
  #isFailing = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Whether the last read failed. A sidecar that cannot read must give up its lease: changes would wait for it. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** A new session began: outstanding reads and reports are repeated. */
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
   * A notification arrived. Its changes are applied at once if they directly follow the copy's
   * position: they were committed, and in this order. Otherwise the log is read.
   */
  notified(followed: FollowedHomeserver, news: NotifiedChanges | undefined): void {
    const { epoch, sequence } = followed.copy.position;
    if (news === undefined || followed.isDistrusted || news.epoch !== epoch || news.first > sequence + 1) {
      this.wake(followed);
      return;
    }
    try {
      for (const bytes of news.changes.slice(sequence + 1 - news.first)) applyTo(followed, bytes);
      this.#due.add(followed);
      this.#start();
    } catch (error) {
      this.#failed(error);
    }
  }

  forget(followed: FollowedHomeserver): void {
    this.#dirty.delete(followed);
    this.#due.delete(followed);
  }

  /**
   * Wakes homeservers whose head differs from their copy. Returns how many of them had been
   * loaded: a notification should have announced the difference.
   */
  async poll(all: readonly FollowedHomeserver[]): Promise<number> {
    const loaded = new Set(all.filter(({ isLoaded }) => isLoaded));
    for (const followed of all) if (this.#options.reports.isDue(followed)) this.#due.add(followed);
    this.#start();
    const moved = await this.#options.reads.moved(all);
    for (const followed of moved) if (!followed.hasLeft) this.wake(followed);
    return moved.filter((followed) => loaded.has(followed)).length;
  }

  #start(): void {
    if (!this.#isRunning && this.#options.link.isUp) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#dirty.size + this.#due.size > 0) {
        await this.#send(take(this.#due, READ_HOMESERVERS_MAX));
        await this.#read(take(this.#dirty, READ_HOMESERVERS_MAX));
        this.#isFailing = false;
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isRunning = false;
    }
  }

  /** Changes may be missing: a new session reads everything again. */
  #failed(error: unknown): void {
    this.#isFailing = true;
    this.#options.link.replace(error);
  }

  /** Reports; a homeserver whose row is gone is enrolled again. */
  async #send(batch: readonly FollowedHomeserver[]): Promise<void> {
    for (const followed of await this.#options.reports.send(batch)) {
      followed.unenrol();
      this.#dirty.add(followed);
    }
  }

  async #read(batch: readonly FollowedHomeserver[]): Promise<void> {
    const { reads, nowMs } = this.#options;
    if (batch.length === 0) return;
    const sent = new Map<FollowedHomeserver, Sent>();
    for (const followed of batch) {
      sent.set(followed, { enrolment: followed.enrolment, position: followed.copy.position });
    }
    const heads = new Map<FollowedHomeserver, ReadRow>();
    const rows = await reads.read(batch);
    let sliceMs = nowMs();
    for (const row of rows) {
      const { followed } = row;
      if (followed.hasLeft) continue;
      if (!heads.has(followed)) this.#enter(row, sent.get(followed)!);
      heads.set(followed, row);
      this.#apply(row);
      if (nowMs() - sliceMs <= APPLY_SLICE_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      sliceMs = nowMs();
    }
    await this.#send(batch);
    for (const followed of batch) this.#goOn(followed, heads.get(followed), sent.get(followed)!);
  }

  /**
   * Starts a new epoch, or detects that the log went back to an older state. The head is
   * compared with the position at which the read was sent: notifications may have brought
   * more changes since.
   */
  #enter({ followed, epoch, head, reason, change }: ReadRow, sent: Sent): void {
    const { position } = followed.copy;
    if (sent.enrolment !== undefined) sent.enrolment.headEpoch = epoch;
    if (epoch !== position.epoch) {
      const sequence = change === undefined ? head : change.sequence - 1;
      followed.restart({ epoch, sequence }, reason === "database" ? "database" : "asked");
    } else if (followed.isDistrusted || (epoch === sent.position.epoch && head < sent.position.sequence)) {
      followed.distrust();
      this.#options.onBackwards(followed);
    } else if (change === undefined && head > position.sequence) {
      followed.restart({ epoch, sequence: head }, "gap");
    }
  }

  #apply({ followed, epoch, change }: ReadRow): void {
    const { position } = followed.copy;
    if (followed.isDistrusted) return;
    // A notification may have brought it in the meantime.
    if (change === undefined || position.epoch !== epoch || change.sequence <= position.sequence) return;
    if (change.sequence !== position.sequence + 1) {
      followed.restart({ epoch, sequence: change.sequence - 1 }, "gap");
    }
    applyTo(followed, change.bytes);
  }

  /** A homeserver that was enrolled before the read was sent is loaded once the read reached the head. */
  #goOn(followed: FollowedHomeserver, row: ReadRow | undefined, sent: Sent): void {
    // A log that went back is followed again in its next epoch.
    if (followed.hasLeft || followed.isDistrusted) return;
    if (row !== undefined) {
      const { epoch, sequence } = followed.copy.position;
      if (epoch !== row.epoch || sequence < row.head) {
        this.#dirty.add(followed);
        return;
      }
      const isEnrolled = sent.enrolment !== undefined && followed.enrolment === sent.enrolment;
      if (isEnrolled && this.#options.isOneServer()) followed.loaded();
    }
    if (followed.enrolment === undefined) this.#options.onReachedHead(followed);
  }
}

/** The copy's position when a read was sent. */
interface Sent {
  readonly enrolment: Enrolment | undefined;
  readonly position: Position;
}

function applyTo(followed: FollowedHomeserver, bytes: Buffer): void {
  const { token, change } = decodeChange(bytes);
  followed.applyNext(token, change);
}

function take<T>(set: Set<T>, countMax: number): T[] {
  const taken = [...set].slice(0, countMax);
  for (const item of taken) set.delete(item);
  return taken;
}
