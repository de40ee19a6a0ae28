import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import { isEncodingOf } from "../../../src/core/memory/encoded-event.js";
import type {
  EventStore,
  HomeserverStats,
  PutRequest,
  PutResult,
  ReadRequest,
  SetRedactionRequest,
  SetRejectedRequest,
  StoreStats,
  SubscribeRequest,
  TakeEvents,
} from "../../../src/core/model/store.js";
import type { EventId, Homeserver, RoomId } from "../../../src/core/model/types.js";
import type { PostgresTarget } from "../../../src/log/postgres/connection/session.js";
import { createPostgresLog } from "../../../src/log/postgres/postgres-log.js";
import type { Tier } from "../../../src/tier/port.js";
import { createRedisTier } from "../../../src/tier/redis/redis-tier.js";
import type { RedisTarget } from "../../../src/tier/redis/target.js";
import { eventually } from "../eventually.js";
import { readEvents } from "./read-events.js";
import {
  homeserver,
  makeMemoryStore,
  messageEvent,
  type StoreHarness,
  type StoreOptions,
} from "./store-harness.js";

/** Three sidecars over one log, with or without a tier, and all of them as one store. */
export interface ThreeSidecars extends StoreHarness {
  readonly sidecars: readonly EventStore[];
  /** One for each sidecar, or none. */
  readonly tiers: readonly Tier[];
  /** Resolves when every tier takes what it is given. */
  tiersReady(): Promise<void>;
}

export type MakeSidecars = (options?: StoreOptions) => ThreeSidecars;

export interface SidecarTargets {
  readonly log: PostgresTarget;
  readonly schema: string;
  readonly tier: RedisTarget | undefined;
}

const SIDECARS = 3;

export function makeThreeSidecars(targets: SidecarTargets, options?: StoreOptions): ThreeSidecars {
  const keyPrefix = `test-${randomUUID()}`;
  const tiers: Tier[] = [];
  let nowMs = 1;
  const clocks = { clock: () => nowMs, wallClock: () => nowMs };
  const harnesses = Array.from({ length: SIDECARS }, () => {
    const tier = targets.tier && openTier(targets.tier, keyPrefix, clocks.wallClock);
    if (tier !== undefined) tiers.push(tier);
    return makeMemoryStore({ ...options, ...clocks, invalidationLog: openLog(targets), tier });
  });
  const sidecars = harnesses.map(({ store }) => store);
  const tiersReady = async () => {
    for (const tier of tiers) await untilItTakes(tier);
  };
  return {
    store: new TurningStore(sidecars, tiers, tiersReady),
    sidecars,
    tiers,
    tiersReady,
    advance: async (ms) => {
      nowMs += ms;
    },
    ttlPrecisionMs: 1,
    logged: harnesses[0]!.logged,
  };
}

function openLog({ log: target, schema }: SidecarTargets) {
  const failed = (_: unknown, message: string) => console.error(message);
  return createPostgresLog({ target, schema, events: { failed, up: () => {}, down: () => {} } });
}

function openTier(target: RedisTarget, keyPrefix: string, wallClock: () => number): Tier {
  return createRedisTier({
    target,
    keyPrefix,
    secret: Buffer.alloc(32, "a secret of tests"),
    ttlMs: 3_600_000,
    // Ample on a busy machine.
    readMsMax: 5000,
    clock: () => performance.now(),
    wallClock,
    observer: { connected: () => {}, failed: () => {} },
  });
}

/** Fills go over a connection of their own, which may come later than the one for reads. */
async function untilItTakes(tier: Tier): Promise<void> {
  await eventually(() => {
    const { isUp, entries } = tier.status();
    if (isUp && entries.written > 0) return;
    if (isUp) tier.put(homeserver("warm.example"), [warmEntry]);
    throw new Error("the tier takes nothing yet");
  });
}

const warmEntry = {
  event: messageEvent("$warm"),
  asOf: { epoch: "00".repeat(16) as never, sequence: 0 },
  expiresAtMs: 10_000,
};

/**
 * Each call is made at the next sidecar. A fill reaches them all: with a tier by a read of
 * each of the others, which brings it from there; without one by a fill at each.
 */
class TurningStore implements EventStore {
  readonly readsMayWait = true;
  readonly #sidecars: readonly EventStore[];
  readonly #tiers: readonly Tier[];
  readonly #tiersReady: () => Promise<void>;
  #turn = 0;

  constructor(sidecars: readonly EventStore[], tiers: readonly Tier[], tiersReady: () => Promise<void>) {
    this.#sidecars = sidecars;
    this.#tiers = tiers;
    this.#tiersReady = tiersReady;
  }

  getEvents(request: ReadRequest, take: TakeEvents): Promise<void> | undefined {
    return this.#next().getEvents(request, take);
  }

  async putEvents(request: PutRequest): Promise<PutResult> {
    await this.#tiersReady();
    const at = this.#turn++ % this.#sidecars.length;
    const before = this.#tiers[at]?.status().entries.written ?? 0;
    const result = await this.#sidecars[at]!.putEvents(request);
    const ids = new Set(request.events.map(({ eventId }) => eventId));
    const stored = [...ids].filter((id) => outcomeOf(id, request, result) === "stored");
    await this.#untilWritten(at, before + stored.length);
    for (const other of this.#sidecars.filter((_, n) => n !== at)) {
      if (await this.#has(other, request)) continue;
      const { outcomes } = await other.putEvents(request);
      if (String(outcomes) !== String(result.outcomes)) {
        throw new Error(`one sidecar answered ${result.outcomes}, another one ${outcomes}`);
      }
    }
    return result;
  }

  setRedaction(request: SetRedactionRequest) {
    return this.#next().setRedaction(request);
  }

  setRejected(request: SetRejectedRequest) {
    return this.#next().setRejected(request);
  }

  invalidateEvents(name: Homeserver, room: RoomId | undefined, eventIds: readonly EventId[]) {
    return this.#next().invalidateEvents(name, room, eventIds);
  }

  purgeRoom(name: Homeserver, roomId: RoomId) {
    return this.#next().purgeRoom(name, roomId);
  }

  purgeHomeserver(name: Homeserver, newEpoch: boolean) {
    return this.#next().purgeHomeserver(name, newEpoch);
  }

  subscribe(request: SubscribeRequest) {
    return this.#next().subscribe(request);
  }

  /** What one of them holds, and what all have done. */
  stats(): StoreStats {
    const all = this.#sidecars.map((sidecar) => sidecar.stats());
    const names = new Set(all.flatMap(({ homeservers }) => [...homeservers.keys()]));
    const sums = new Map(
      [...names].map((name) => [name, sumOf(all.flatMap(({ homeservers }) => homeservers.get(name) ?? []))]),
    );
    return { ...all[0]!, homeservers: sums };
  }

  async close(): Promise<void> {
    await Promise.all(this.#sidecars.map((sidecar) => sidecar.close()));
  }

  #next(): EventStore {
    return this.#sidecars[this.#turn++ % this.#sidecars.length]!;
  }

  #untilWritten(at: number, count: number): Promise<void> {
    return eventually(() => {
      const tier = this.#tiers[at];
      if (tier !== undefined && tier.status().entries.written < count) throw new Error("not written yet");
    });
  }

  /** Reads from the tier what a sidecar does not have in its memory. */
  async #has(sidecar: EventStore, { homeserver, events }: PutRequest): Promise<boolean> {
    if (this.#tiers.length === 0) return false;
    const eventIds = events.map(({ eventId }) => eventId);
    const request = { homeserver, eventIds, view: "original", minPosition: undefined } as const;
    const found = (await readEvents(sidecar, request)).events;
    return events.every((event, at) => {
      const hit = found[at];
      // It may have had another variant already.
      return hit !== undefined && isEncodingOf(hit.encoded, event);
    });
  }
}

function outcomeOf(id: EventId, { events }: PutRequest, { outcomes }: PutResult) {
  return outcomes[events.findIndex(({ eventId }) => eventId === id)];
}

/** Each sidecar has a copy of the same log: its size counts once. */
function sumOf(all: readonly HomeserverStats[]): HomeserverStats {
  const { position, logChanges, logEventIds, logBytes } = all[0]!;
  const counts = all.map((stats) => ({ ...stats, position: undefined }));
  return {
    ...counts.reduce((sum, next) => add(sum, next) as typeof sum),
    position,
    logChanges,
    logEventIds,
    logBytes,
  };
}

function add(one: unknown, other: unknown): unknown {
  if (one === undefined) return undefined;
  if (typeof one === "number") return one + (other as number);
  const [left, right] = [one, other] as Record<string, unknown>[];
  return Object.fromEntries(Object.keys(left!).map((key) => [key, add(left![key], right![key])]));
}
