import type { Position } from "../../../src/core/model/types.js";
import { unlessLost } from "../model/runs/scheduler.js";
import type { Sidecar } from "../model/system/sidecar.js";
import { ALPHA, BETA, messageEvent } from "../store/store-harness.js";
import { announce, KINDS, touchedBy } from "./announce.js";
import { expectWarmAfterRestarts, healed } from "./calm.js";
import type { Cluster } from "./cluster.js";
import type { Below } from "./fault.js";
import { injectFaults } from "./faults.js";
import { belowOf, pause } from "./random.js";
import { SoakFollower } from "./soak-follower.js";
import { EVENTS, nameOf, roomOf, SoakHomeserver } from "./soak-homeserver.js";

export interface SoakSettings {
  readonly forMs: number;
  readonly seed: number;
}

export interface SoakFigures {
  /** Events asked for, and how many of them were there and compared. */
  reads: number;
  hits: number;
  fills: number;
  changes: number;
  /** Changes that subscribers received. */
  notices: number;
  faults: Record<string, number>;
}

/**
 * Two homeservers read, fill and change the same events through several sidecars, as fast
 * as possible, and follow the changes at each of them, while faults are injected.
 */
export class Soak {
  readonly figures: SoakFigures = { reads: 0, hits: 0, fills: 0, changes: 0, notices: 0, faults: {} };
  readonly #cluster: Cluster;
  readonly #settings: SoakSettings;
  readonly #below: Below;
  readonly #homeservers = [ALPHA, BETA].map((name) => new SoakHomeserver(name));
  readonly #followers: readonly (readonly SoakFollower[])[];
  /** What was changed last, for each sidecar: nothing is as likely to be served as it was. */
  readonly #recent: readonly Recent[][];
  readonly #notes: string[] = [];
  #endMs = Number.POSITIVE_INFINITY;
  #failure: Error | undefined;
  #isComplete = false;

  constructor(cluster: Cluster, settings: SoakSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#below = belowOf(settings.seed);
    this.#recent = cluster.sidecars.map(() => []);
    this.#followers = cluster.sidecars.map(() =>
      this.#homeservers.map(({ name, log }) => new SoakFollower(name, log)),
    );
  }

  /**
   * Fails if a reader is served what was changed, and acknowledged, before it asked (I1), or
   * what its homeserver has not put (I8); if an epoch comes back (I6); if a subscriber misses
   * a change, or subscribers and writers disagree on the log (I3); if it does not heal; or if
   * restarts of sidecars empty anything once it has (I13).
   */
  async run(): Promise<SoakFigures> {
    const { sidecars } = this.#cluster;
    const isDone = () => this.#isComplete || this.#failure !== undefined;
    const following = this.#followers.flatMap((here, at) =>
      here.map((follower) =>
        this.#repeat(() => follower.follow(sidecars[at]!.sidecar).finally(() => pause(20)), isDone),
      ),
    );
    await Promise.all([
      // Each sidecar has its own: a sidecar that stands still does not delay the others.
      ...sidecars.flatMap((_, at) =>
        Array.from({ length: READERS }, () => this.#repeat(() => this.#readAt(at))),
      ),
      ...Array.from({ length: WRITERS }, () => this.#repeat(() => this.#change())),
      this.#injectFaults().catch((cause) => this.#fail(cause)),
    ]);
    if (this.#failure === undefined) {
      await this.#expectLastChange()
        .then(() => expectWarmAfterRestarts(this.#cluster, this.#homeservers))
        .catch((cause) => this.#fail(cause));
    }
    this.#isComplete = true;
    for (const follower of this.#followers.flat()) {
      follower.disconnect();
      this.figures.notices += follower.received;
    }
    await Promise.all(following);
    if (this.#failure !== undefined) throw this.#failure;
    return this.figures;
  }

  get #isOver(): boolean {
    return this.#failure !== undefined || performance.now() >= this.#endMs;
  }

  get #anySidecar(): Sidecar {
    const { sidecars } = this.#cluster;
    return sidecars[this.#below(sidecars.length)]!.sidecar;
  }

  get #anyHomeserver(): SoakHomeserver {
    return this.#homeservers[this.#below(this.#homeservers.length)]!;
  }

  #readAt(at: number): Promise<void> {
    const recent = this.#recent[at]!.shift();
    const homeserver = recent?.homeserver ?? this.#anyHomeserver;
    const from = recent?.from ?? this.#below(EVENTS - BATCH);
    return this.#readAndFill(homeserver, from, this.#cluster.sidecars[at]!.sidecar);
  }

  async #readAndFill(homeserver: SoakHomeserver, from: number, sidecar: Sidecar): Promise<void> {
    const ids = Array.from({ length: BATCH }, (_, n) => from + n);
    const since = homeserver.since(ids);
    const request = { homeserver: homeserver.name, eventIds: ids.map(nameOf), view: "original" } as const;
    const reply = await unlessLost(sidecar.getEvents({ ...request, minPosition: undefined }));
    if (reply === undefined) return pause(5);
    this.figures.reads += ids.length;
    homeserver.checkEpoch(reply.position, since);
    const absent: number[] = [];
    for (const [at, n] of ids.entries()) {
      const hit = reply.events[at];
      if (hit === undefined) absent.push(n);
      else {
        this.figures.hits += 1;
        homeserver.check(n, hit, since.versions[at]!);
      }
    }
    const filled = this.#below(4) > 0 ? sidecar : this.#anySidecar;
    if (this.#below(4) > 0) await this.#fill(homeserver, filled, absent, reply.position);
  }

  async #fill(
    homeserver: SoakHomeserver,
    sidecar: Sidecar,
    absent: readonly number[],
    asOf: Position,
  ): Promise<void> {
    const events = absent.map((n) =>
      messageEvent(nameOf(n), { roomId: roomOf(n), text: homeserver.textOf(n) }),
    );
    // What was read may be outdated when it arrives.
    if (this.#below(3) === 0) await pause(this.#below(20));
    if (events.length === 0) return;
    await unlessLost(sidecar.putEvents({ homeserver: homeserver.name, events, asOf }));
    this.figures.fills += events.length;
  }

  async #change(): Promise<void> {
    const homeserver = this.#anyHomeserver;
    const n = this.#below(EVENTS);
    const kind = this.#below(KINDS);
    const touched = touchedBy(kind, n);
    const asOf = this.#below(2) === 0 ? await this.#positionOf(homeserver) : undefined;
    const version = homeserver.commit(touched);
    while (!this.#isOver) {
      const before = homeserver.epoch;
      const announced = await unlessLost(
        announce(this.#anySidecar, homeserver.name, { n, kind, version, asOf }),
      );
      if (announced === undefined) {
        await pause(10);
        continue;
      }
      const { position, change } = announced;
      if (change !== undefined) homeserver.log.record(position, change);
      homeserver.acknowledge(touched, version, position, before);
      this.figures.changes += 1;
      break;
    }
    const from = Math.max(0, Math.min(n - this.#below(BATCH), EVENTS - BATCH));
    for (const recent of this.#recent) if (recent.length < RECENT_MAX) recent.push({ homeserver, from });
  }

  async #positionOf({ name }: SoakHomeserver): Promise<Position | undefined> {
    const request = { homeserver: name, eventIds: [], view: "original", minPosition: undefined } as const;
    return (await unlessLost(this.#anySidecar.getEvents(request)))?.position;
  }

  /** The time counts from when there is something to compare: there is no fault before. */
  async #injectFaults(): Promise<void> {
    const { forMs, seed } = this.#settings;
    while (!this.#isOver && (this.figures.hits === 0 || this.figures.changes === 0)) await pause(10);
    this.#endMs = performance.now() + forMs;
    await injectFaults(this.#cluster, {
      seed,
      isOver: () => this.#isOver,
      note: (what) => this.#note(what),
      count: (name) => {
        this.figures.faults[name] = (this.figures.faults[name] ?? 0) + 1;
      },
    });
    this.#cluster.mend();
  }

  /** Once the faults are over, a change reaches every subscriber. */
  async #expectLastChange(): Promise<void> {
    for (const [at, homeserver] of this.#homeservers.entries()) {
      const last = await healed(async () =>
        this.#cluster.sidecars[0]!.sidecar.invalidateEvents(homeserver.name, undefined, [nameOf(0)]),
      );
      await healed(async () => {
        for (const here of this.#followers) here[at]!.expectAt(last);
      });
    }
  }

  #note(what: string): void {
    this.#notes.push(`${Math.round(performance.now())} ms: ${what}`);
    if (this.#notes.length > NOTES_MAX) this.#notes.shift();
  }

  #fail(cause: unknown): void {
    const now = Math.round(performance.now());
    const text = `seed ${this.#settings.seed}: ${cause}\nat ${now} ms, after:\n${this.#notes.join("\n")}`;
    this.#failure ??= new Error(text, { cause });
  }

  async #repeat(act: () => Promise<void>, isDone = () => this.#isOver): Promise<void> {
    try {
      while (!isDone()) {
        await unlessLost(act());
        await pause(0);
      }
    } catch (error) {
      this.#fail(error);
    }
  }
}

interface Recent {
  readonly homeserver: SoakHomeserver;
  readonly from: number;
}

const BATCH = 100;
const READERS = 3;
const RECENT_MAX = 50;
const WRITERS = 12;
const NOTES_MAX = 30;
