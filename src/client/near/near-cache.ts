import type { CachedEvent, Notice, RedactionView } from "../../gen/splitcache/v1/event_cache_service.js";
import type { Clock } from "../clock.js";
import type { Followed } from "../follow.js";
import { PROOF_AGE_MS_MAX } from "../limits.js";
import type { Position } from "../position.js";
import { KeptEvents } from "./kept-events.js";
import { NoticeWindow } from "./notice-window.js";
import { Proof, type Sending } from "./proof.js";

/** Whether lookups may be sent now, and what is kept be used: see Gate. */
export interface Permission {
  isOpen(now: number): boolean;
  uses(epoch: string): boolean;
}

/**
 * What this process keeps of replies, and when it may be used. Rules of docs/announcing.md, "What a process
 * keeps": every method is one synchronous step.
 */
export class NearCache {
  readonly counters = { hits: 0, misses: 0, kept: 0, refused: 0, notices: 0, resets: 0 };
  readonly #clock: Clock;
  readonly #permission: Permission;
  readonly #events: KeptEvents;
  readonly #window = new NoticeWindow();
  readonly #proof: Proof;
  /** Called with what a notice names; undefined: everything. */
  readonly #onChange: (ids: readonly string[] | undefined) => void;

  constructor(
    maxBytes: number,
    clock: Clock,
    permission: Permission,
    onChange: (ids: readonly string[] | undefined) => void,
  ) {
    this.#clock = clock;
    this.#permission = permission;
    this.#events = new KeptEvents(maxBytes);
    this.#proof = new Proof(clock);
    this.#onChange = onChange;
  }

  /** Whether what is kept may be used at this moment. Ask once for each batch. */
  isUsable(now: number = this.#clock()): boolean {
    const proof = this.#proof;
    this.#events.tick(now);
    return (
      now - proof.provedAt < PROOF_AGE_MS_MAX &&
      now < proof.silentAt &&
      this.#permission.isOpen(now) &&
      proof.epoch !== undefined &&
      this.#permission.uses(proof.epoch)
    );
  }

  /** Whether what is kept includes this position. */
  includes({ epoch, sequence }: Position): boolean {
    return epoch.toString("hex") === this.#proof.epoch && sequence <= this.#proof.applied;
  }

  /** The age of the newest proof in milliseconds. */
  get freshness(): number {
    return this.#clock() - this.#proof.provedAt;
  }

  get bytes(): number {
    return this.#events.bytes;
  }

  get count(): number {
    return this.#events.count;
  }

  /** Only if `isUsable` in the same step. */
  get(id: string, view: RedactionView): Readonly<CachedEvent> | undefined {
    return this.#events.get(id, view);
  }

  sending(): Sending {
    return this.#proof.sending(this.#permission.isOpen(this.#clock()));
  }

  /** Takes a reply: keeps its hits unless a later notice names them. */
  received(
    sending: Sending,
    position: Position,
    events: Iterable<Readonly<CachedEvent>>,
    view: RedactionView,
  ): void {
    this.#proof.answered(sending, position);
    const counts = this.#proof.counts(sending, position);
    for (const event of events) {
      if (!counts || this.#window.hasLater(position.sequence, event.eventId, event.roomId)) {
        this.counters.refused += 1;
        continue;
      }
      this.#events.set(event, view);
      this.counters.kept += 1;
    }
  }

  /** Takes an item of the followed log. */
  follow(item: Followed): void {
    switch (item.kind) {
      case "ready":
      case "reset": {
        const resumed = item.kind === "ready" && item.resumed;
        if (!resumed) this.#dropAll(item.position.sequence);
        this.#proof.began(item.position, resumed, item.silenceMs);
        break;
      }
      case "notice":
        this.counters.notices += 1;
        this.#apply(item.notice.change, item.notice.sequence);
        this.#proof.advanced(item.position);
        break;
      case "progress":
        this.#proof.advanced(item.position);
    }
  }

  /** This process announced a change at or before this position: its notice need not be waited for. */
  announced(change: Notice["change"], { epoch, sequence }: Position): void {
    // A sequence of another epoch says nothing here. The stream's Reset is on its way.
    this.#apply(change, epoch.toString("hex") === this.#proof.epoch ? sequence : this.#proof.applied);
  }

  /** Serves nothing until the stream begins again. */
  end(): void {
    this.#proof.end();
    this.#dropAll(0n);
  }

  #apply(change: Notice["change"], sequence: bigint): void {
    switch (change?.$case) {
      case "eventRedacted":
      case "eventRejected":
        this.#drop([change.value.eventId], sequence);
        break;
      case "eventsInvalidated":
        this.#drop(change.value.eventIds, sequence);
        break;
      case "roomPurged":
        this.#events.purgeRoom(change.value.roomId);
        this.#window.room(change.value.roomId, sequence);
        this.#onChange(undefined);
        break;
      default:
        // A change of an unknown kind may be of everything.
        this.#dropAll(sequence);
    }
  }

  #drop(ids: readonly string[], sequence: bigint): void {
    this.#events.delete(ids);
    this.#window.events(ids, sequence);
    this.#onChange(ids);
  }

  #dropAll(sequence: bigint): void {
    this.counters.resets += 1;
    this.#events.clear();
    this.#window.begin(sequence);
    this.#onChange(undefined);
  }
}
