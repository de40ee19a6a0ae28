import { randomUUID } from "node:crypto";
import { frameBody } from "../../../src/core/event-frame.js";
import type { EventStore } from "../../../src/core/store.js";
import type {
  Change,
  Homeserver,
  LeaseToken,
  Position,
  RoomId,
  StoredEvent,
} from "../../../src/core/types.js";
import { createRedisStore } from "../../../src/store/redis/redis-store.js";
import { eventually } from "../eventually.js";
import { testStoreOptions } from "../redis/redis-harness.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  eventId,
  LEASE_MS,
  messageEvent,
  roomId,
  token,
  writer,
} from "../store-harness.js";
import type { Arrangement, Faults, Scene } from "./redis-faults.js";
import { SoakFollower, ToldLog } from "./soak-follower.js";

export interface SoakSettings {
  readonly sidecars: number;
  readonly forMs: number;
  readonly random: () => number;
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
 * Two homeservers read, fill and change the same events through several sidecars,
 * with all the speed that there is, and follow the changes at each of them, while one
 * thing after another befalls Redis. Fails if a reader is served what was changed, and
 * acknowledged, before it asked, and if subscribers and writers disagree on the log.
 */
export async function soak(
  redis: Arrangement,
  { sidecars, forMs, random }: SoakSettings,
): Promise<SoakFigures> {
  const keyPrefix = `soak-${randomUUID()}`;
  const start = (at: number) =>
    createRedisStore({
      ...testStoreOptions(redis.connect(at), []),
      keyPrefix,
      replicasMin: redis.replicasMin,
      proofLifetimeMs: PROOF_MS,
      serverClock: STEPPED_CLOCK,
    });
  const stores = Array.from({ length: sidecars }, (_, at) => start(at));
  const figures: SoakFigures = { reads: 0, hits: 0, fills: 0, changes: 0, notices: 0, faults: {} };
  // The time counts from when there is something to compare: nothing befalls the servers before.
  let endMs = Number.POSITIVE_INFINITY;
  const below = (bound: number) => Math.floor(random() * bound);
  const homes = [ALPHA, BETA].map((name) => new SoakedHome(name));
  const anyone = (home: SoakedHome) => asHomeserver(stores[below(sidecars)]!, home.name);
  const followers = stores.map(() => homes.map(({ name, log }) => new SoakFollower(name, log)));
  let failure: unknown;
  const isOver = () => failure !== undefined || performance.now() >= endMs;

  const readAnything = () =>
    readAndFill(homes[below(homes.length)]!, below(EVENTS - BATCH), stores[below(sidecars)]!);

  async function readAndFill(home: SoakedHome, from: number, store: EventStore): Promise<void> {
    const ids = Array.from({ length: BATCH }, (_, n) => from + n);
    const acknowledged = ids.map((n) => home.acknowledged[n]!);
    const { position, events } = await asHomeserver(store, home.name).get(ids.map(nameOf), {
      view: "original",
    });
    figures.reads += ids.length;
    const absent: number[] = [];
    for (const [at, n] of ids.entries()) {
      const hit = events[at];
      if (hit === undefined) absent.push(n);
      else {
        figures.hits += 1;
        home.check(n, hit, acknowledged[at]!);
      }
    }
    if (below(4) > 0) await fill(home, absent, position);
  }

  async function fill(home: SoakedHome, absent: readonly number[], asOf: Position): Promise<void> {
    const events = absent.map((n) => messageEvent(nameOf(n), { roomId: roomOf(n), text: home.textOf(n) }));
    // What was read may be outdated when it arrives.
    if (below(3) === 0) await pause(below(20));
    if (events.length > 0) await anyone(home).put(events, asOf);
    figures.fills += events.length;
  }

  async function change(): Promise<void> {
    const home = homes[below(homes.length)]!;
    const n = below(EVENTS);
    const kind = below(100);
    const touched = kind === 0 ? ALL : kind < 5 ? ALL.filter((other) => roomOf(other) === roomOf(n)) : [n];
    const asOf = below(2) === 0 ? (await anyone(home).get([])).position : undefined;
    const version = home.commit(touched);
    const announce = async (at: ReturnType<typeof anyone>): Promise<Told> => {
      const id = nameOf(n);
      const fenced = asOf && { asOf };
      if (kind === 0) return [await at.purge(), { kind: "homeserverPurged" }];
      if (kind < 5) return [await at.purgeRoom(roomOf(n)), { kind: "roomPurged", roomId: roomOf(n) }];
      if (kind < 35)
        return [await at.invalidate([id]), { kind: "invalidated", roomId: undefined, eventIds: [id] }];
      const one = { roomId: undefined, eventId: id };
      if (kind < 70) {
        const { position } = await at.reject(id, true, { reason: String(version), ...fenced });
        return [position, { kind: "rejected", ...one, rejected: true }];
      }
      const { position } = await at.redact(id, `$${version}`, { ...fenced });
      return [position, { kind: "redacted", ...one, redactedBy: eventId(`$${version}`) }];
    };
    while (!isOver()) {
      try {
        home.log.tell(...(await announce(anyone(home))));
        home.acknowledge(touched, version);
        figures.changes += 1;
        break;
      } catch (refused) {
        refuseAll(refused);
        await pause(10);
      }
    }
    // Nothing is as likely to be served as it was as what was changed a moment ago.
    const from = Math.max(0, Math.min(n - below(BATCH), EVENTS - BATCH));
    await Promise.all(stores.map((store) => readAndFill(home, from, store).catch(refuseAll)));
  }

  /** Holds a lease, without which the homeserver has no cache. */
  async function keepLease(home: SoakedHome): Promise<void> {
    const store = stores[below(sidecars)]!;
    const renewed = await store.renewWriterLease(home.name, WRITER, home.leaseToken).catch(refuseAll);
    if (renewed !== undefined) home.leaseToken = renewed.token;
    await pause(LEASE_MS / 10);
  }

  /** The servers' clocks go forward, or back, by up to two leases. */
  async function stepClocks(): Promise<void> {
    const stepMs = below(4 * LEASE_MS) - 2 * LEASE_MS;
    for (const { name } of homes) {
      const key = `${keyPrefix}:v1:{${name}}:clock`;
      await redis.command(key, "SET", key, String(stepMs)).catch(() => undefined);
    }
  }

  /** Its calls are lost, and what it held. */
  async function restartSidecar({ at }: Scene): Promise<void> {
    const lost = stores[at % sidecars]!;
    stores[at % sidecars] = start(at % sidecars);
    for (const follower of followers[at % sidecars]!) follower.hangUp();
    await lost.close();
  }

  const faults: Faults = {
    ...redis.faults,
    "has its clock set": stepClocks,
    "has a sidecar that restarts": restartSidecar,
  };
  const diary: string[] = [];
  const note = (what: string) => diary.push(`${Math.round(performance.now())} ms: ${what}`);
  async function befall(): Promise<void> {
    while (failure === undefined && (figures.hits === 0 || figures.changes === 0)) await pause(10);
    endMs = performance.now() + forMs;
    const names = Object.keys(faults);
    for (let count = 1; !isOver(); count++) {
      await pause(50 + below(500));
      const name = names[below(names.length)]!;
      const at = below(2 ** 30);
      note(`${name} (${at})`);
      await faults[name]!({ at, prefix: keyPrefix });
      note("it has begun");
      figures.faults[name] = (figures.faults[name] ?? 0) + 1;
      // Now and then it has time to get well, so that there is something to lose.
      if (count % 4 === 0) {
        await redis.mend();
        note("all is mended");
        await pause(1500);
      }
    }
  }

  const fail = (cause: unknown) => {
    const before = diary.slice(-FAULTS_SHOWN).join("\n");
    failure ??= new Error(`${cause}\nat ${Math.round(performance.now())} ms, after:\n${before}`, { cause });
  };
  const repeat = async (act: () => Promise<void>, isDone = isOver): Promise<void> => {
    try {
      while (!isDone()) {
        await act().catch(refuseAll);
        await pause(0);
      }
    } catch (error) {
      fail(error);
    }
  };
  let isHeard = false;
  const following = followers.flatMap((here, at) =>
    here.map((follower) =>
      repeat(
        () => follower.follow(stores[at]!).finally(() => pause(10)),
        () => isHeard || failure !== undefined,
      ),
    ),
  );
  /** Once all is well again, a change comes to everybody. */
  async function hearTheLast(): Promise<void> {
    await redis.mend();
    for (const [at, home] of homes.entries()) {
      const last = await eventually(() => asHomeserver(stores[0]!, home.name).invalidate([nameOf(0)]));
      await eventually(() => {
        for (const here of followers) here[at]!.expectAt(last);
      });
    }
  }
  await Promise.all([
    ...Array.from({ length: READERS }, () => repeat(readAnything)),
    ...Array.from({ length: WRITERS }, () => repeat(change)),
    ...homes.map((home) => repeat(() => keepLease(home))),
    befall().catch(fail),
  ]);
  if (failure === undefined) await hearTheLast().catch(fail);
  isHeard = true;
  for (const follower of followers.flat()) {
    follower.hangUp();
    figures.notices += follower.heard;
  }
  await Promise.all(following);
  for (const store of stores) await store.close();
  if (failure !== undefined) throw failure;
  return figures;
}

/** What a homeserver's database holds of each event: the number of its newest change. */
class SoakedHome {
  readonly name: Homeserver;
  leaseToken: LeaseToken = token("");
  readonly log = new ToldLog();
  readonly acknowledged = new Array<number>(EVENTS).fill(0);
  readonly #committed = new Array<number>(EVENTS).fill(0);
  #newest = 0;

  constructor(name: Homeserver) {
    this.name = name;
  }

  textOf(n: number): string {
    return `${this.name} ${this.#committed[n]}`;
  }

  commit(touched: readonly number[]): number {
    this.#newest += 1;
    for (const n of touched) this.#committed[n] = this.#newest;
    return this.#newest;
  }

  acknowledge(touched: readonly number[], version: number): void {
    for (const n of touched) this.acknowledged[n] = Math.max(this.acknowledged[n]!, version);
  }

  check(n: number, { eventId: id, frame, state }: StoredEvent, atLeast: number): void {
    const [owner, version] = (JSON.parse(String(frameBody(frame))) as Body).content.body.split(" ");
    const found = Math.max(
      Number(version),
      Number(state.rejectedReason || 0),
      Number(state.redaction?.redactedBy.slice(1) ?? 0),
    );
    if (id !== nameOf(n) || owner !== this.name) throw new Error(`${this.name} was served ${owner}'s ${id}`);
    if (found < atLeast) throw new Error(`${id} was served as of ${found}, when ${atLeast} was acknowledged`);
  }
}

/** A change that was acknowledged, and where in the log it is. */
type Told = readonly [Position, Change];

interface Body {
  readonly content: { readonly body: string };
}

/** Random numbers from 0 to 1 that a seed determines: the generator mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Calls that the store refuses for now are part of it. */
function refuseAll(error: unknown): undefined {
  if ((error as { kind?: unknown }).kind !== "unavailable") throw error;
}

const pause = (ms: number) =>
  new Promise<void>((resolve) => (ms === 0 ? setImmediate(resolve) : setTimeout(resolve, ms)));

/** The server's own, put off by what lies beside the homeserver's keys. */
const STEPPED_CLOCK = `(function()
  local time = redis.call('TIME')
  local by = tonumber(redis.call('GET', string.match(KEYS[1], '^(.*}:)') .. 'clock') or 0)
  local ms = time[1] * 1000 + math.floor(time[2] / 1000) + by
  return { math.floor(ms / 1000), ms % 1000 * 1000 }
end)()`;

const WRITER = writer("w");
const EVENTS = 2000;
const BATCH = 100;
const READERS = 6;
const WRITERS = 4;
const PROOF_MS = 600;
const FAULTS_SHOWN = 20;
const ALL = Array.from({ length: EVENTS }, (_, n) => n);
const nameOf = (n: number) => eventId(`$${n}`);
const roomOf = (n: number): RoomId => roomId(`!${Math.floor(n / 50)}:alpha.example`);
