import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { EventStore } from "../../../src/core/store.js";
import { createRedisStore } from "../../../src/store/redis/redis-store.js";
import { eventually } from "../eventually.js";
import { testClock, testStoreOptions } from "../redis/redis-harness.js";
import { ALPHA, asHomeserver, BETA } from "../store-harness.js";
import type { Host } from "./host.js";
import type { Watch } from "./memory-host.js";
import type { Arrangement, Faults } from "./redis-faults.js";
import { type Sidecar, storeSidecar } from "./sidecar.js";
import { SidecarLost } from "./stage.js";

/** Several sidecars over one Redis: each call goes to another of them. */
export interface RedisHost extends Host {
  fault(fault: keyof Faults, at: number): Promise<void>;
}

export async function startRedisHost(
  redis: Arrangement,
  watch: (sidecar: Sidecar) => Watch,
): Promise<RedisHost> {
  const keyPrefix = `model-${randomUUID()}`;
  let nowMs = 1;
  let clockSet = Promise.resolve<unknown>(undefined);
  let calls = 0;

  const make = (at: number): EventStore =>
    createRedisStore({
      ...testStoreOptions(redis.connect(at), []),
      keyPrefix,
      replicasMin: redis.replicasMin,
      // Where the time was lost, every lease has lapsed.
      serverClock: testClock(10 ** 12),
      proofLifetimeMs: PROOF_MS,
      progressIntervalMs: TICK_MS,
    });
  await redis.mend();
  const stores = Array.from({ length: SIDECARS }, (_, at) => make(at));
  const next = (): EventStore => stores[calls++ % SIDECARS]!;

  async function setClock(): Promise<void> {
    for (const name of [ALPHA, BETA]) {
      const key = `${keyPrefix}:v1:{${name}}:clock`;
      // A server that has gone gets the time when it is back.
      await redis.command(key, "SET", key, String(nowMs)).catch(() => {});
    }
  }

  /** A call of whichever sidecar is next, at the time that it is. */
  const onNext = async <T>(call: (sidecar: Sidecar) => Promise<T>): Promise<T> => {
    const store = next();
    await clockSet;
    return call(storeSidecar(store));
  };
  const sidecar: Sidecar = {
    getEvents: async (request) => {
      const store = next();
      await clockSet;
      const doubts = () => store.stats().homeservers.get(request.homeserver)?.misses.doubt ?? 0;
      const before = doubts();
      const reply = await storeSidecar(store).getEvents(request);
      // All missing, and at an old position: as good as no answer.
      if (doubts() > before) throw new SidecarLost("in doubt");
      return reply;
    },
    putEvents: (request) => onNext((one) => one.putEvents(request)),
    setRedaction: (request) => onNext((one) => one.setRedaction(request)),
    setRejected: (request) => onNext((one) => one.setRejected(request)),
    invalidateEvents: (...named) => onNext((one) => one.invalidateEvents(...named)),
    purgeRoom: (...named) => onNext((one) => one.purgeRoom(...named)),
    purgeHomeserver: (name) => onNext((one) => one.purgeHomeserver(name)),
    declareWriters: (...named) => onNext((one) => one.declareWriters(...named)),
    renewWriterLease: (...lease) => onNext((one) => one.renewWriterLease(...lease)),
    releaseWriterLease: (...lease) => onNext((one) => one.releaseWriterLease(...lease)),
    subscribe: (request) => storeSidecar(next()).subscribe(request),
  };
  const watched = watch(sidecar);
  await setClock();

  async function fault(name: string, at: number): Promise<void> {
    await redis.faults[name]!({ at, prefix: keyPrefix });
    await setClock();
  }

  return {
    get sidecar() {
      return watched.sidecar;
    },
    nowMs: () => nowMs,
    advance(ms) {
      nowMs += ms;
      clockSet = clockSet.then(setClock);
    },
    // The stores' own timers run.
    tick: () => {},
    sweep: () => {},
    async restart() {
      const at = calls % SIDECARS;
      const old = stores[at]!;
      stores[at] = make(at);
      await old.close();
    },
    fault: (name, at) => {
      const done = clockSet.then(() => fault(String(name), at));
      clockSet = done;
      return done;
    },
    recover: () =>
      eventually(async () => {
        await clockSet;
        await redis.mend();
        await setClock();
        for (const store of stores) await expectWell(store);
      }),
    checkBounds: () => {},
    checkEmpty: () => {},
    checkHistory: () => watched.check(),
    async close() {
      await clockSet;
      for (const store of stores) await store.close();
    },
  };
}

/** That it answers, and announces. */
async function expectWell(store: EventStore): Promise<void> {
  try {
    for (const name of [ALPHA, BETA]) {
      await asHomeserver(store, name).position();
      await asHomeserver(store, name).invalidate(["$recovered"]);
    }
    expect(store.stats().remote?.isWell).toBe(true);
  } catch (cause) {
    throw new Error(`what befell it: ${JSON.stringify(store.stats().remote?.troubles)}`, { cause });
  }
}

export const SIDECARS = 3;
const PROOF_MS = 100;
const TICK_MS = 5;
