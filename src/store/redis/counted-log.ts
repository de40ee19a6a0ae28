import { type RedisLog, TROUBLE_KINDS, type TroubleKind } from "./link.js";

/** Tells the operator, and counts for the metric what went wrong. */
export class CountedLog implements RedisLog {
  readonly #log: RedisLog;
  readonly #troubles = Object.fromEntries(TROUBLE_KINDS.map((kind) => [kind, 0])) as Record<
    TroubleKind,
    number
  >;

  #isClosed = false;

  constructor(log: RedisLog) {
    this.#log = log;
  }

  get troubles(): Readonly<Record<TroubleKind, number>> {
    return this.#troubles;
  }

  connected(address: string): void {
    this.#log.connected(address);
  }

  disconnected(address: string, reason: string): void {
    this.#log.disconnected(address, reason);
  }

  trouble(kind: TroubleKind, message: string): void {
    // What fails because it is ended is none.
    if (this.#isClosed) return;
    this.#troubles[kind] += 1;
    this.#log.trouble(kind, message);
  }

  wellnessChanged(isWell: boolean): void {
    this.#log.wellnessChanged(isWell);
  }

  /** Tells of no more troubles. */
  close(): void {
    this.#isClosed = true;
  }
}
