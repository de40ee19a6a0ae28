import type { RestartReason } from "../core/model/store.js";
import type { Change, Homeserver, Position } from "../core/model/types.js";
import type { HomeserverDeps } from "../core/rules/homeserver-state.js";
import { HomeserverState } from "../core/rules/homeserver-state.js";
import type { WithState } from "../core/rules/homeservers.js";
import type { SplitCache } from "../core/rules/split-cache.js";
import type { HomeserverLog, Log, LogCopy } from "../log/port.js";

/** A homeserver's caches and the log that invalidates them. */
export class ServedHomeserver implements WithState, LogCopy {
  readonly state: HomeserverState;
  readonly log: HomeserverLog;
  readonly #cache: SplitCache;

  constructor(name: Homeserver, nowMs: number, log: Log, cache: SplitCache, deps: HomeserverDeps) {
    this.#cache = cache;
    this.state = new HomeserverState(name, nowMs, () => this.log.isCurrent(), deps);
    this.log = log.follow(this);
  }

  get name(): Homeserver {
    return this.state.name;
  }

  get homeserver(): Homeserver {
    return this.state.name;
  }

  get lastCallMs(): number {
    return this.state.lastCallMs;
  }

  set lastCallMs(nowMs: number) {
    this.state.lastCallMs = nowMs;
  }

  get isHeld(): boolean {
    return this.state.isHeld;
  }

  get position(): Position {
    return this.state.log.position;
  }

  restart(position: Position, reason: RestartReason): void {
    this.state.restart(position, reason);
  }

  dropEntries(reason: RestartReason): void {
    this.state.dropEntries(reason);
  }

  apply(change: Change): void {
    this.#cache.changes.apply(this.state, change);
  }

  applyUnknown(): void {
    this.#cache.changes.apply(this.state, { kind: "homeserverPurged" });
  }

  becameCurrent(): void {
    this.state.hub.wake();
  }

  /** Drops all entries, then stops following the log. Without entries the sidecar need not acknowledge changes. */
  leave(): void {
    this.state.dropMetadata();
    this.log.leave();
  }
}
