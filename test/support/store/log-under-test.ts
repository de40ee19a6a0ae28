import type { Change, Position } from "../../../src/core/model/types.js";
import type { HomeserverLog, Log, LogCopy } from "../../../src/log/port.js";
import { newEpoch } from "./store-harness.js";

/**
 * A log whose other members a test plays: it appends and applies only when the test calls
 * to, and says whether it is current as the test wishes.
 */
export class LogUnderTest implements Log {
  isCurrent = true;
  isUp = true;
  /** Changes that were appended and are not applied yet. */
  readonly appended: { readonly change: Change; apply(): void; fail(error: Error): void }[] = [];
  /** Positions that a caller waited for. */
  readonly awaited: Position[] = [];
  /** Called when a homeserver is no longer followed. */
  onLeave: (homeserver: string) => void = () => {};
  copy: LogCopy | undefined;
  #ready: (() => void)[] = [];

  follow(copy: LogCopy): HomeserverLog {
    this.copy = copy;
    copy.restart({ epoch: newEpoch(), sequence: 0 }, "started");
    return {
      isCurrent: () => this.isCurrent,
      ready: () => new Promise((resolve) => this.#ready.push(resolve)),
      append: (change, apply) => this.#append(copy, change, apply),
      startEpoch: async () => {
        copy.restart({ epoch: newEpoch(), sequence: 0 }, "asked");
        return copy.position;
      },
      catchUp: (position) => {
        if (position.epoch !== copy.position.epoch || position.sequence <= copy.position.sequence) return;
        this.awaited.push(position);
        return new Promise((resolve) => this.#ready.push(resolve));
      },
      leave: () => this.onLeave(copy.homeserver),
    };
  }

  /** Lets everyone go on who waits for the copy. */
  settle(): void {
    for (const go of this.#ready.splice(0)) go();
  }

  status() {
    return { isUp: this.isUp, errors: {}, memberCount: 0 };
  }

  readonly members = { list: async () => [], positions: async () => [] };

  async close(): Promise<void> {}

  #append(copy: LogCopy, change: Change, apply: () => void): Promise<Position> {
    return new Promise((resolve, reject) => {
      this.appended.push({
        change,
        apply: () => {
          apply();
          resolve(copy.position);
        },
        fail: reject,
      });
    });
  }
}
