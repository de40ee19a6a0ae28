import type { EventId, Notice, RedactionView, SubscriptionFrame } from "../../../../src/core/model/types.js";
import type { SeenEvent } from "../oracle/event-facts.js";
import { concerns } from "../oracle/reference-homeserver.js";
import { staleness } from "../oracle/truth.js";
import { type Scheduler, SidecarLost } from "../runs/scheduler.js";
import { LogCursor } from "./log-cursor.js";
import type { TestHomeserver } from "./test-homeserver.js";

/**
 * A worker with a near cache: it follows its homeserver's changes, as slowly as the test
 * chooses, and fails if the notices would leave it with anything outdated.
 */
export class Follower {
  readonly #homeserver: TestHomeserver;
  readonly #cursor = new LogCursor();
  /** Where it began, or began again: it receives no earlier changes. */
  #beginning = 0;
  /** What it has applied since. */
  #applied: Notice[] = [];
  #held = new Map<EventId, { readonly seen: SeenEvent; readonly view: RedactionView }>();
  #connection: Connection | undefined;
  #isBusy = false;

  constructor(homeserver: TestHomeserver) {
    this.#homeserver = homeserver;
  }

  /** Takes up to so many frames, or all that there are; connects first if it must, and resumes. */
  async hear(frames: number, scheduler: Scheduler, tick: () => void): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      this.#connection ??= this.#connect();
      for (let heard = 0; heard < frames; heard++) {
        // If there is nothing else to tell, then that.
        tick();
        const connection: Connection = this.#connection;
        const { done, value } = await connection.frames.next();
        // Somebody may have hung up meanwhile.
        if (this.#connection !== connection) return;
        if (done === true) return this.hangUp();
        this.#apply(value);
        if (value.kind === "progress") return;
        await scheduler.turn(`a follower of ${this.#homeserver.name} hears`);
        // Its connection may have gone in the meantime.
        if (this.#connection === undefined) return;
      }
    } catch (failure) {
      if (!(failure instanceof SidecarLost)) throw failure;
      this.hangUp();
    } finally {
      this.#isBusy = false;
    }
  }

  /** Takes all there is, and fails if that does not lead to where the log ends. Nothing else is under way. */
  async catchUp(tick: () => void): Promise<void> {
    const end = await this.#homeserver.endOfLog();
    for (
      let ticks = 0;
      this.#cursor.here?.epoch !== end.epoch || this.#cursor.here.sequence !== end.sequence;
      ticks++
    ) {
      if (ticks > FRAMES_MAX) throw new Error(`a follower never gets to ${end.epoch}/${end.sequence}`);
      await this.hear(1, { turn: async () => {} }, tick);
    }
  }

  /**
   * Reads an event and keeps it, unless the reply is from before the follower
   * began, or something that it has applied since names the event.
   */
  async keep(eventId: EventId, view: RedactionView, scheduler: Scheduler): Promise<void> {
    const reply = await this.#homeserver.read([eventId], view);
    const seen = reply?.events[0];
    if (reply === undefined || seen === undefined) return;
    await scheduler.turn(`a follower of ${this.#homeserver.name} keeps what it read`);
    const { epoch, sequence: readAt } = reply.position;
    if (epoch !== this.#cursor.here?.epoch || readAt < this.#beginning) return;
    const outdated = this.#applied.some(
      ({ sequence, change }) => sequence > readAt && concerns(change, seen.eventId, seen.roomId),
    );
    if (!outdated) this.#held.set(eventId, { seen, view });
    this.#check();
  }

  /** Lets its connection go; it keeps what it holds. */
  hangUp(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.abort.abort();
    void connection?.frames.return?.();
  }

  #connect(): Connection {
    const abort = new AbortController();
    const { name, sidecar } = this.#homeserver;
    const resumeAfter = this.#cursor.here;
    this.#cursor.connect();
    const frames = sidecar.subscribe({ homeserver: name, resumeAfter, signal: abort.signal });
    return { abort, frames: frames[Symbol.asyncIterator]() };
  }

  #apply(frame: SubscriptionFrame): void {
    const notices = this.#cursor.apply(frame);
    if (notices === undefined) this.#forget();
    for (const notice of notices ?? []) {
      this.#applied.push(notice);
      for (const [eventId, { seen }] of [...this.#held]) {
        if (concerns(notice.change, eventId, seen.roomId)) this.#held.delete(eventId);
      }
    }
    this.#check();
  }

  #forget(): void {
    this.#beginning = this.#cursor.here!.sequence;
    this.#applied = [];
    this.#held = new Map();
  }

  /** Nothing that it holds may be older than a change that it has applied. */
  #check(): void {
    const { epoch, sequence } = this.#cursor.here!;
    const applied = this.#homeserver.announcements.filter(
      ({ position }) => position?.epoch === epoch && position.sequence <= sequence,
    );
    for (const { seen, view } of this.#held.values()) {
      const problem = staleness(this.#homeserver.database, applied, seen, view);
      if (problem !== undefined)
        throw new Error(`a follower at ${epoch}/${sequence} holds what is ${problem}`);
    }
  }
}

interface Connection {
  readonly abort: AbortController;
  readonly frames: AsyncIterator<SubscriptionFrame>;
}

/** More than a follower can be behind. */
const FRAMES_MAX = 1000;
