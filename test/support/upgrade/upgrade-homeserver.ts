import type { Change, Homeserver, Position } from "../../../src/core/model/types.js";
import { eventually } from "../eventually.js";
import { SidecarLost } from "../model/runs/scheduler.js";
import type { Sidecar } from "../model/system/sidecar.js";
import { eventId, homeserver, messageEvent } from "../store/store-harness.js";

const EVENTS = 100;
const idOf = (n: number) => eventId(`$${n}`);

/** A homeserver whose events are in several sidecars, and its reads and changes while these are replaced. */
export class UpgradeHomeserver {
  readonly name: Homeserver;
  readonly #sidecars: readonly Sidecar[];
  readonly #followers: readonly Follower[];
  readonly #changed = new Set<number>();
  #last: Position | undefined;

  constructor(name: string, sidecars: readonly Sidecar[]) {
    this.name = homeserver(name);
    this.#sidecars = sidecars;
    this.#followers = sidecars.map((sidecar) => new Follower(this.name, sidecar));
  }

  /** Stores all events at the first sidecar; the others get them from the tier. */
  async fill(): Promise<void> {
    const all = Array.from({ length: EVENTS }, (_, n) => n);
    const [first] = this.#sidecars;
    await eventually(async () => {
      const { position } = await this.#read(first!, []);
      const events = all.map((n) => messageEvent(idOf(n)));
      await first!.putEvents({ homeserver: this.name, events, asOf: position });
      await this.expectWarm(this.#sidecars);
    });
    for (const follower of this.#followers) await eventually(() => follower.expectReady());
  }

  /** That these sidecars have every event that was not changed. Rejects if they do not. */
  async expectWarm(sidecars: readonly Sidecar[]): Promise<void> {
    const unchanged = Array.from({ length: EVENTS }, (_, n) => n).filter((n) => !this.#changed.has(n));
    for (const sidecar of sidecars) {
      const { events } = await this.#read(sidecar, unchanged);
      const misses = events.filter((event) => event === undefined).length;
      if (misses > 0) throw new Error(`${misses} of ${events.length} events are missing`);
    }
  }

  /** Changes an event at one sidecar; no running sidecar may serve the old state from then on. */
  async change(at: Sidecar, running: readonly Sidecar[]): Promise<void> {
    const n = this.#changed.size;
    this.#changed.add(n);
    this.#last = await at.invalidateEvents(this.name, undefined, [idOf(n)]);
    for (const sidecar of running) {
      const { events } = await this.#read(sidecar, [n]);
      if (events[0] !== undefined) throw new Error(`${idOf(n)} is served as it was before it changed`);
    }
  }

  /** The changes that each subscriber received so far: all of them, and no Reset. */
  async received(): Promise<readonly (readonly Change[])[]> {
    const last = this.#last!.sequence;
    return Promise.all(this.#followers.map((follower) => eventually(() => follower.changesUntil(last))));
  }

  disconnect(): void {
    for (const follower of this.#followers) follower.disconnect();
  }

  #read(sidecar: Sidecar, ns: readonly number[]) {
    const eventIds = ns.map(idOf);
    return sidecar.getEvents({ homeserver: this.name, eventIds, view: "original", minPosition: undefined });
  }
}

/** A subscriber at one sidecar, which resumes where it was each time it is cut off. */
class Follower {
  readonly #abort = new AbortController();
  readonly #changes = new Map<number, Change>();
  #here: Position | undefined;
  #resets = 0;

  constructor(name: Homeserver, sidecar: Sidecar) {
    void this.#follow(name, sidecar);
  }

  expectReady(): void {
    if (this.#here === undefined) throw new Error("a subscriber has received nothing yet");
  }

  changesUntil(last: number): readonly Change[] {
    if (this.#resets > 0) throw new Error(`a subscriber was reset ${this.#resets} times`);
    if ((this.#here?.sequence ?? 0) < last) throw new Error(`a subscriber is at ${this.#here?.sequence}`);
    return [...this.#changes].sort(([one], [other]) => one - other).map(([, change]) => change);
  }

  disconnect(): void {
    this.#abort.abort();
  }

  async #follow(homeserver: Homeserver, sidecar: Sidecar): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        for await (const frame of sidecar.subscribe({ homeserver, resumeAfter: this.#here, signal })) {
          if (frame.kind === "reset") this.#resets += 1;
          if (frame.kind === "batch")
            for (const { sequence, change } of frame.notices) this.#changes.set(sequence, change);
          this.#here = frame.kind === "batch" ? frame.to : frame.position;
        }
      } catch (failure) {
        if (!(failure instanceof SidecarLost)) throw failure;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}
