import { PUT_SLICE_MS } from "../core/model/limits.js";

/**
 * Divides the event loop between puts and everything else. In one turn of it, puts run
 * for a short time; the rest wait for the next turn, in which other calls come first.
 * Waiting homeservers take turns, so a homeserver that puts without pause delays a put
 * of another by one of its own. A put that finds nothing waiting runs at once.
 */
export class FairTurns {
  readonly #clock: () => number;
  readonly #defer: (run: () => void) => void;
  /** The puts that wait, by homeserver. The homeserver whose turn is next comes first. */
  readonly #waiting = new Map<string, (() => void)[]>();
  /** When the first put of this turn of the event loop began. */
  #turnStartedMs: number | undefined;

  /** `defer` runs a function in a later turn of the event loop. */
  constructor(clock: () => number, defer: (run: () => void) => void) {
    this.#clock = clock;
    this.#defer = defer;
  }

  /** Runs `put`, which is synchronous, in a turn of its homeserver. */
  run<Result>(homeserver: string, put: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(put());
        } catch (error) {
          reject(error);
        }
      };
      if (this.#mayRunNow()) run();
      else this.#wait(homeserver, run);
    });
  }

  #mayRunNow(): boolean {
    if (this.#turnStartedMs === undefined) {
      this.#turnStartedMs = this.#clock();
      this.#defer(() => this.#nextTurn());
    }
    return this.#waiting.size === 0 && !this.#isOver(this.#turnStartedMs);
  }

  #wait(homeserver: string, run: () => void): void {
    const queue = this.#waiting.get(homeserver);
    if (queue === undefined) this.#waiting.set(homeserver, [run]);
    else queue.push(run);
  }

  #nextTurn(): void {
    this.#turnStartedMs = undefined;
    if (this.#waiting.size === 0) return;
    const startedMs = this.#clock();
    this.#turnStartedMs = startedMs;
    this.#defer(() => this.#nextTurn());
    do {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [homeserver, queue] = next;
      const run = queue.shift();
      // It goes to the end of the homeservers that wait.
      this.#waiting.delete(homeserver);
      if (queue.length > 0) this.#waiting.set(homeserver, queue);
      run?.();
    } while (!this.#isOver(startedMs));
  }

  #isOver(startedMs: number): boolean {
    return this.#clock() - startedMs >= PUT_SLICE_MS;
  }
}
