import { CacheError } from "../../../core/model/errors.js";
import type { Change, Epoch, Homeserver, Position } from "../../../core/model/types.js";
import type { HomeserverLog, LogCopy } from "../../port.js";
import type { ChangeToken } from "../codec/change-codec.js";
import type { PostgresLimits } from "../postgres-limits.js";

/** The parts of the log that a followed homeserver depends on. */
export interface FollowedDeps {
  readonly limits: PostgresLimits;
  /** Whether this sidecar's lease is live, by the clock. */
  isLive(): boolean;
  /** Whether the log has been unreachable for too long to wait for it. */
  isDown(): boolean;
  append(followed: FollowedHomeserver, change: Change, apply: () => void): Promise<Position>;
  startEpoch(followed: FollowedHomeserver): Promise<Position>;
  /** Reads the homeserver's log soon. */
  wake(followed: FollowedHomeserver): void;
  leave(followed: FollowedHomeserver): void;
}

/** This sidecar's row in `applied`, for one homeserver; a new object each time it enrols. */
export interface Enrolment {
  readonly memberId: string;
  /** The epoch in the row. */
  rowEpoch: Epoch;
  /** The head's epoch, as last read since the row is known. No position of another epoch is reported. */
  headEpoch: Epoch;
  /** The position in the row; undefined if unknown. */
  reported: Position | undefined;
}

/** One homeserver that this sidecar follows: its copy, and whether the copy is current. */
export class FollowedHomeserver implements HomeserverLog {
  readonly copy: LogCopy;
  /** The name's bytes, as in the tables. */
  readonly key: Buffer;
  readonly #deps: FollowedDeps;
  /** Undefined while this sidecar is not enrolled. */
  enrolment: Enrolment | undefined;
  #hasStarted = false;
  #isLoaded = false;
  #hasLeft = false;
  /** The epoch whose log went back to an older state. The copy no longer belongs to that log. */
  #distrusted: Epoch | undefined;
  readonly #applies = new Map<ChangeToken, () => void>();
  readonly #behind = new Set<{ readonly position: Position; readonly resolve: () => void }>();
  /** A wait reached its limit since the copy was last current, so further waits are pointless. */
  #hasWaitedInVain = false;
  #ready: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(copy: LogCopy, deps: FollowedDeps) {
    this.copy = copy;
    this.key = Buffer.from(copy.homeserver, "utf8");
    this.#deps = deps;
  }

  get homeserver(): Homeserver {
    return this.copy.homeserver;
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  isCurrent(): boolean {
    return this.#isLoaded && this.#deps.isLive();
  }

  ready(): Promise<void> | undefined {
    if (this.isCurrent() || this.#hasWaitedInVain || this.#deps.isDown()) return undefined;
    this.#ready ??= this.#startWaiting();
    return this.#ready.promise;
  }

  append(change: Change, apply: () => void): Promise<Position> {
    return this.#hasLeft ? Promise.reject(hasLeft()) : this.#deps.append(this, change, apply);
  }

  startEpoch(): Promise<Position> {
    return this.#hasLeft ? Promise.reject(hasLeft()) : this.#deps.startEpoch(this);
  }

  catchUp(position: Position): Promise<void> | undefined {
    if (!this.#isAhead(position) || this.#deps.isDown()) return undefined;
    // Reaching the position is useless while the copy will not be current soon.
    if (this.#hasWaitedInVain && !this.isCurrent()) return undefined;
    this.#deps.wake(this);
    return new Promise((resolve) => {
      const waiter = { position, resolve };
      const timer = setTimeout(() => this.#stopWaiting(waiter), this.#deps.limits.catchUpMs);
      waiter.resolve = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#behind.add(waiter);
    });
  }

  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#isLoaded = false;
    this.#wakeWaiters();
    this.#ready?.resolve();
    this.#deps.leave(this);
  }

  /** Restarts the copy after a position of the log. */
  restart(position: Position, reason: Parameters<LogCopy["restart"]>[1]): void {
    const isFirst = !this.#hasStarted;
    this.#hasStarted = true;
    this.copy.restart(position, isFirst ? "started" : reason);
    this.#wakeWaiters();
  }

  /** The lease was lost: others no longer wait for this copy, so its entries may be outdated. */
  drop(reason: "expelled" | "database"): void {
    this.#isLoaded = false;
    this.enrolment = undefined;
    if (!this.#hasStarted) return;
    // In the same epoch the copy continues at its position. A new incarnation starts new epochs.
    if (reason === "expelled") this.copy.dropEntries(reason);
    else this.copy.restart(this.copy.position, reason);
  }

  /** The row is gone: others do not wait for this sidecar. The copy keeps its position and serves nothing until it is loaded again. */
  unenrol(): void {
    this.#isLoaded = false;
    this.enrolment = undefined;
  }

  /** Applies the next change. The change of a pending append is applied by its own function, once. */
  applyNext(token: ChangeToken, change: Change | undefined): void {
    const apply = this.#applies.get(token);
    this.#applies.delete(token);
    if (apply !== undefined) apply();
    else if (change === undefined) this.copy.applyUnknown();
    else this.copy.apply(change);
    if (this.#behind.size > 0) this.#wakeWaiters();
  }

  expect(token: ChangeToken, apply: () => void): void {
    this.#applies.set(token, apply);
  }

  /** An append has settled. If its change arrives later, it is applied like any other. */
  forget(token: ChangeToken): void {
    this.#applies.delete(token);
  }

  /** The copy has reached the head of the log as it was after this sidecar had enrolled. */
  loaded(): void {
    if (this.#isLoaded || this.#hasLeft || this.isDistrusted) return;
    this.#isLoaded = true;
    if (this.isCurrent()) this.becameCurrent();
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** The copy no longer belongs to this log. No change is applied and nothing served until another epoch begins. */
  distrust(): void {
    this.#isLoaded = false;
    this.#distrusted = this.copy.position.epoch;
  }

  get isDistrusted(): boolean {
    return this.#distrusted === this.copy.position.epoch;
  }

  becameCurrent(): void {
    this.#hasWaitedInVain = false;
    this.#ready?.resolve();
    this.copy.becameCurrent();
  }

  #startWaiting(): { readonly promise: Promise<void>; readonly resolve: () => void } {
    let resolve = (): void => {};
    const promise = new Promise<void>((done) => {
      const timer = setTimeout(() => {
        this.#hasWaitedInVain = true;
        resolve();
      }, this.#deps.limits.readyMs);
      resolve = () => {
        clearTimeout(timer);
        this.#ready = undefined;
        done();
      };
    });
    return { promise, resolve: () => resolve() };
  }

  #isAhead(position: Position): boolean {
    const { epoch, sequence } = this.copy.position;
    return position.epoch === epoch && position.sequence > sequence;
  }

  #wakeWaiters(): void {
    for (const waiter of this.#behind) {
      if (this.#hasLeft || !this.#isAhead(waiter.position)) this.#stopWaiting(waiter);
    }
  }

  #stopWaiting(waiter: { readonly position: Position; readonly resolve: () => void }): void {
    if (this.#behind.delete(waiter)) waiter.resolve();
  }
}

function hasLeft(): CacheError {
  return new CacheError("unavailable", "this homeserver is no longer followed; retry");
}
