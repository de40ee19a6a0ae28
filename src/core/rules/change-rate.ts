import { CacheError } from "../model/errors.js";

/**
 * Limits the changes of one homeserver a second. Unused changes of one second are kept.
 * A change is refused before anything of it is done, and with the time of the next try.
 */
export class ChangeRate {
  readonly #perSecond: number;
  #left: number;
  #filledMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#filledMs = nowMs;
  }

  /** Takes one change. If there is none left, returns the reason. */
  take(nowMs: number): CacheError | undefined {
    this.#left = Math.min(this.#perSecond, this.#left + ((nowMs - this.#filledMs) / 1000) * this.#perSecond);
    this.#filledMs = nowMs;
    if (this.#left >= 1) {
      this.#left -= 1;
      return undefined;
    }
    const message = `too many changes of this homeserver: its quota is ${this.#perSecond} a second; try again later`;
    const retryDelayMs = Math.ceil(((1 - this.#left) / this.#perSecond) * 1000);
    return new CacheError("exhausted", message, { retryDelayMs });
  }
}
