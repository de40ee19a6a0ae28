import type { ChangeKind } from "../core/model/store.js";
import type { Homeserver } from "../core/model/types.js";
import { LAST_CHANGES_MAX } from "./limits.js";

/** Changes of one kind at one homeserver, with no other change between them. */
export interface LastChange {
  /** Of the newest of them: milliseconds since 1970. */
  readonly timeMs: number;
  readonly homeserver: string;
  readonly kind: ChangeKind;
  readonly count: number;
}

/** The last changes that this sidecar applied; never rooms or events. */
export class LastChanges {
  readonly #wallClock: () => number;
  readonly #kept: { timeMs: number; homeserver: Homeserver; kind: ChangeKind; count: number }[] = [];

  /** `wallClock`: milliseconds since 1970. */
  constructor(wallClock: () => number) {
    this.#wallClock = wallClock;
  }

  add(homeserver: Homeserver, kind: ChangeKind): void {
    const timeMs = this.#wallClock();
    const last = this.#kept.at(-1);
    if (last?.homeserver === homeserver && last.kind === kind) {
      last.timeMs = timeMs;
      last.count += 1;
      return;
    }
    this.#kept.push({ timeMs, homeserver, kind, count: 1 });
    if (this.#kept.length > LAST_CHANGES_MAX) this.#kept.shift();
  }

  /** The newest first. */
  list(): readonly LastChange[] {
    return this.#kept.map((change) => ({ ...change })).reverse();
  }
}
