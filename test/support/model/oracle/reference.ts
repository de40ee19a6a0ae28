import { HOMESERVER_IDLE_MS } from "../../../../src/core/model/limits.js";
import type { Epoch, Homeserver, Position } from "../../../../src/core/model/types.js";
import { TTL_MS } from "../../store/store-harness.js";
import type { WatchSurroundings } from "../system/memory-system.js";
import { expectSame } from "./expect-same.js";
import { ReferenceHomeserver } from "./reference-homeserver.js";

/** The homeservers of one sidecar, as the reference sees them. */
export class Reference {
  readonly #homeservers = new Map<Homeserver, ReferenceHomeserver>();
  readonly #lastCallsMs = new Map<Homeserver, number>();
  readonly #subscribers = new Map<Homeserver, number>();
  readonly #surroundings: WatchSurroundings;
  readonly #epochs: Set<Epoch>;

  /** `epochs` holds the epochs of earlier sidecars: none of them may come back. */
  constructor(surroundings: WatchSurroundings, epochs: Set<Epoch>) {
    this.#surroundings = surroundings;
    this.#epochs = epochs;
  }

  get nowMs(): number {
    return this.#surroundings.nowMs();
  }

  get isTiny(): boolean {
    return this.#surroundings.isTiny;
  }

  /** A homeserver, and the newest change that its log has let go. */
  enter(name: Homeserver): { readonly homeserver: ReferenceHomeserver; readonly reach: number } {
    this.#expectForgotten(name);
    const homeserver = this.#homeservers.get(name) ?? new ReferenceHomeserver(TTL_MS);
    this.#homeservers.set(name, homeserver);
    this.#lastCallsMs.set(name, this.nowMs);
    return { homeserver, reach: this.reach(name, homeserver) };
  }

  reach(name: Homeserver, { sequence }: ReferenceHomeserver): number {
    const reach = sequence === 0 ? 0 : sequence - (this.#surroundings.logChanges(name) ?? 0);
    if (!this.isTiny) expectSame("changes that a large log let go", reach, 0);
    return reach;
  }

  /** What a call returned; if it failed, its homeserver was lost. */
  async reply<Reply>(name: Homeserver, call: Promise<Reply>): Promise<Reply> {
    try {
      return await call;
    } catch (failure) {
      this.lose(name);
      throw failure;
    }
  }

  /** The sidecar had no place for a homeserver. */
  lose(name: Homeserver): void {
    this.#homeservers.delete(name);
  }

  /** A position that a client receives: the first position of an epoch must be of an epoch that was never seen. */
  expectPosition(homeserver: ReferenceHomeserver, actual: Position, sequence = homeserver.sequence): void {
    if (homeserver.epoch === undefined) {
      expectSame(`whether epoch ${actual.epoch} was there before`, this.#epochs.has(actual.epoch), false);
      this.#epochs.add(actual.epoch);
      homeserver.epoch = actual.epoch;
    }
    expectSame("position", actual, { epoch: homeserver.epoch, sequence });
  }

  /** Timers ran: a homeserver that was idle may be forgotten. */
  ticked(): void {
    for (const name of [...this.#homeservers.keys()]) this.#expectForgotten(name);
  }

  countSubscriber(name: Homeserver, by: 1 | -1): void {
    this.#subscribers.set(name, (this.#subscribers.get(name) ?? 0) + by);
  }

  /** If the sidecar has forgotten a homeserver, it was idle. */
  #expectForgotten(name: Homeserver): void {
    const homeserver = this.#homeservers.get(name);
    if (homeserver === undefined || this.#surroundings.logChanges(name) !== undefined) return;
    const idleMs = this.nowMs - this.#lastCallsMs.get(name)!;
    expectSame("idle when forgotten", idleMs >= HOMESERVER_IDLE_MS, true);
    expectSame("subscribers when forgotten", this.#subscribers.get(name) ?? 0, 0);
    this.#homeservers.delete(name);
  }
}
