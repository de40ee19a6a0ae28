import type { Position } from "../../../src/core/model/types.js";
import { unlessLost } from "../model/scheduler.js";
import type { Sidecar } from "../model/sidecar.js";
import { ALPHA, BETA, messageEvent } from "../store/store-harness.js";
import { announce, KINDS, touchedBy } from "./announce.js";
import { expectWarmAfterRestarts } from "./calm.js";
import type { Cluster } from "./cluster.js";
import type { Below } from "./fault.js";
import { befall } from "./faults.js";
import { belowOf, pause } from "./random.js";
import { SoakFollower } from "./soak-follower.js";
import { EVENTS, nameOf, roomOf, SoakedHome } from "./soaked-home.js";

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
  /** Changes that subscribers heard of. */
  notices: number;
  faults: Record<string, number>;
}

/**
 * Two homeservers read, fill and change the same events through several sidecars, with
 * all the speed that there is, and follow the changes at each of them, while one thing
 * after another befalls what they stand on.
 */
export class Soak {
  readonly figures: SoakFigures = { reads: 0, hits: 0, fills: 0, changes: 0, notices: 0, faults: {} };
  readonly #cluster: Cluster;
  readonly #settings: SoakSettings;
  readonly #below: Below;
  readonly #homes = [ALPHA, BETA].map((name) => new SoakedHome(name));
  readonly #followers: readonly (readonly SoakFollower[])[];
  /** What was changed last, for each sidecar: nothing is as likely to be served as it was. */
  readonly #recent: readonly Recent[][];
  readonly #diary: string[] = [];
  #endMs = Number.POSITIVE_INFINITY;
  #failure: Error | undefined;
  #isHeard = false;

  constructor(cluster: Cluster, settings: SoakSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#below = belowOf(settings.seed);
    this.#recent = cluster.sidecars.map(() => []);
    this.#followers = cluster.sidecars.map(() =>
      this.#homes.map(({ name, log }) => new SoakFollower(name, log)),
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
    const isDone = () => this.#isHeard || this.#failure !== undefined;
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
      this.#befall().catch((cause) => this.#fail(cause)),
    ]);
    if (this.#failure === undefined) {
      await this.#hearTheLast()
        .then(() => expectWarmAfterRestarts(this.#cluster, this.#homes))
        .catch((cause) => this.#fail(cause));
    }
    this.#isHeard = true;
    for (const follower of this.#followers.flat()) {
      follower.hangUp();
      this.figures.notices += follower.heard;
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

  get #anyHome(): SoakedHome {
    return this.#homes[this.#below(this.#homes.length)]!;
  }

  #readAt(at: number): Promise<void> {
    const recent = this.#recent[at]!.shift();
    const home = recent?.home ?? this.#anyHome;
    const from = recent?.from ?? this.#below(EVENTS - BATCH);
    return this.#readAndFill(home, from, this.#cluster.sidecars[at]!.sidecar);
  }

  async #readAndFill(home: SoakedHome, from: number, sidecar: Sidecar): Promise<void> {
    const ids = Array.from({ length: BATCH }, (_, n) => from + n);
    const since = home.since(ids);
    const request = { homeserver: home.name, eventIds: ids.map(nameOf), view: "original" } as const;
    const reply = await unlessLost(sidecar.getEvents({ ...request, minPosition: undefined }));
    if (reply === undefined) return pause(5);
    this.figures.reads += ids.length;
    home.checkEpoch(reply.position, since);
    const absent: number[] = [];
    for (const [at, n] of ids.entries()) {
      const hit = reply.events[at];
      if (hit === undefined) absent.push(n);
      else {
        this.figures.hits += 1;
        home.check(n, hit, since.versions[at]!);
      }
    }
    const filled = this.#below(4) > 0 ? sidecar : this.#anySidecar;
    if (this.#below(4) > 0) await this.#fill(home, filled, absent, reply.position);
  }

  async #fill(home: SoakedHome, sidecar: Sidecar, absent: readonly number[], asOf: Position): Promise<void> {
    const events = absent.map((n) => messageEvent(nameOf(n), { roomId: roomOf(n), text: home.textOf(n) }));
    // What was read may be outdated when it arrives.
    if (this.#below(3) === 0) await pause(this.#below(20));
    if (events.length === 0) return;
    await unlessLost(sidecar.putEvents({ homeserver: home.name, events, asOf }));
    this.figures.fills += events.length;
  }

  async #change(): Promise<void> {
    const home = this.#anyHome;
    const n = this.#below(EVENTS);
    const kind = this.#below(KINDS);
    const touched = touchedBy(kind, n);
    const asOf = this.#below(2) === 0 ? await this.#positionOf(home) : undefined;
    const version = home.commit(touched);
    while (!this.#isOver) {
      const before = home.epoch;
      const told = await unlessLost(announce(this.#anySidecar, home.name, { n, kind, version, asOf }));
      if (told === undefined) {
        await pause(10);
        continue;
      }
      const { position, change } = told;
      if (change !== undefined) home.log.tell(position, change);
      home.acknowledge(touched, version, position, before);
      this.figures.changes += 1;
      break;
    }
    const from = Math.max(0, Math.min(n - this.#below(BATCH), EVENTS - BATCH));
    for (const recent of this.#recent) if (recent.length < RECENT_MAX) recent.push({ home, from });
  }

  async #positionOf({ name }: SoakedHome): Promise<Position | undefined> {
    const request = { homeserver: name, eventIds: [], view: "original", minPosition: undefined } as const;
    return (await unlessLost(this.#anySidecar.getEvents(request)))?.position;
  }

  /** The time counts from when there is something to compare: nothing befalls the cluster before. */
  async #befall(): Promise<void> {
    const { forMs, seed } = this.#settings;
    while (!this.#isOver && (this.figures.hits === 0 || this.figures.changes === 0)) await pause(10);
    this.#endMs = performance.now() + forMs;
    await befall(this.#cluster, {
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
  async #hearTheLast(): Promise<void> {
    for (const [at, home] of this.#homes.entries()) {
      const last = await healed(async () =>
        this.#cluster.sidecars[0]!.sidecar.invalidateEvents(home.name, undefined, [nameOf(0)]),
      );
      await healed(async () => {
        for (const here of this.#followers) here[at]!.expectAt(last);
      });
    }
  }

  #note(what: string): void {
    this.#diary.push(`${Math.round(performance.now())} ms: ${what}`);
    if (this.#diary.length > NOTES_MAX) this.#diary.shift();
  }

  #fail(cause: unknown): void {
    const now = Math.round(performance.now());
    const text = `seed ${this.#settings.seed}: ${cause}\nat ${now} ms, after:\n${this.#diary.join("\n")}`;
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

/** Everything that befalls the cluster is over: by then it must have healed. */
async function healed<T>(check: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + HEAL_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await pause(50);
    }
  }
}

interface Recent {
  readonly home: SoakedHome;
  readonly from: number;
}

const BATCH = 100;
const READERS = 3;
const RECENT_MAX = 50;
const WRITERS = 12;
/** Many times what it takes on a machine of its own. */
const HEAL_MS = 20_000;
const NOTES_MAX = 30;
