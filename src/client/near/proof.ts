import type { Clock } from "../clock.js";
import { SILENCE_MS_DEFAULT } from "../limits.js";
import { epochOf, type Position } from "../position.js";

/** Answers whose position the stream has not applied yet. */
const ANSWERS_MAX = 16;

/** What must be known of a request when it is sent, so that its reply may count. */
export interface Sending {
  readonly sentAt: number;
  /** How often the stream had begun anew. */
  readonly beginning: number;
  /** Whether the gate was open. A lookup is not sent otherwise. */
  readonly isOpen: boolean;
}

/**
 * Whether the stream is known to have kept up. Its frames prove nothing: after a freeze they may come from a
 * buffer. A position that was requested a moment ago, and that the stream has applied, does.
 */
export class Proof {
  readonly #clock: Clock;
  #epoch: string | undefined;
  #applied = -1n;
  #beginning = 0;
  #silenceMs = SILENCE_MS_DEFAULT;
  #heardAt = Number.NEGATIVE_INFINITY;
  #provedAt = Number.NEGATIVE_INFINITY;
  #answers: { readonly sentAt: number; readonly sequence: bigint }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The epoch of the stream; undefined before its first frame. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  get applied(): bigint {
    return this.#applied;
  }

  /** When the newest request was sent whose position the stream has applied. */
  get provedAt(): number {
    return this.#provedAt;
  }

  /** When the stream counts as silent. */
  get silentAt(): number {
    return this.#heardAt + this.#silenceMs;
  }

  sending(isOpen: boolean): Sending {
    return { sentAt: this.#clock(), beginning: this.#beginning, isOpen };
  }

  /** Whether a reply is of this epoch and was requested after the stream last began without what came before. */
  counts({ beginning, isOpen }: Sending, position: Position): boolean {
    return isOpen && beginning === this.#beginning && epochOf(position) === this.#epoch;
  }

  /** A request was answered with this position. */
  answered(sending: Sending, position: Position): void {
    if (!this.counts(sending, position)) return;
    this.#answers.push({ sentAt: sending.sentAt, sequence: position.sequence });
    if (this.#answers.length > ANSWERS_MAX) this.#answers.shift();
    this.#prove();
  }

  /** The stream began: Ready or Reset. */
  began(position: Position, resumed: boolean, silenceMs: number): void {
    this.#silenceMs = silenceMs;
    this.#heardAt = this.#clock();
    if (resumed) return;
    this.#beginning += 1;
    this.#epoch = epochOf(position);
    this.#applied = position.sequence;
    this.#answers = [];
    this.#provedAt = Number.NEGATIVE_INFINITY;
  }

  /** All notices up to here are applied. */
  advanced({ sequence }: Position): void {
    this.#heardAt = this.#clock();
    this.#applied = sequence;
    this.#prove();
  }

  /** Nothing is proved until the stream begins again. */
  end(): void {
    this.#beginning += 1;
    this.#epoch = undefined;
    this.#answers = [];
    this.#provedAt = Number.NEGATIVE_INFINITY;
  }

  #prove(): void {
    this.#answers = this.#answers.filter(({ sentAt, sequence }) => {
      if (sequence > this.#applied) return true;
      this.#provedAt = Math.max(this.#provedAt, sentAt);
      return false;
    });
  }
}
