import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { EventStore } from "../../../src/core/store.js";
import { eventually } from "../eventually.js";
import { makeRedisHarness } from "../redis/redis-harness.js";
import type { Topology } from "../redis/topologies.js";
import { ALPHA, asHomeserver, BETA } from "../store-harness.js";
import type { Host } from "./host.js";
import type { Watch } from "./memory-host.js";
import { type Sidecar, storeSidecar } from "./sidecar.js";
import { SidecarLost } from "./stage.js";

/** What can happen to Redis. */
export const REDIS_FAULTS = [
  "loses everything",
  "forgets its scripts",
  "evicts a key",
  "is killed and starts empty",
  "stands still for a moment",
] as const;

export type RedisFault = (typeof REDIS_FAULTS)[number];

/** Several sidecars over one Redis: each call goes to another of them. */
export interface RedisHost extends Host {
  /** `at` picks what is hit, where there is a choice. */
  fault(fault: RedisFault, at: number): Promise<void>;
}

export async function startRedisHost(
  redis: Topology,
  watch: (sidecar: Sidecar) => Watch,
): Promise<RedisHost> {
  const keyPrefix = `model-${randomUUID()}`;
  let nowMs = 1;
  let clockSet = Promise.resolve<unknown>(undefined);
  let calls = 0;

  const make = (): EventStore =>
    makeRedisHarness(redis, { keyPrefix, proofLifetimeMs: PROOF_MS, progressIntervalMs: TICK_MS }).store;
  const stores = Array.from({ length: SIDECARS }, make);
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

  async function fault(kind: RedisFault, at: number): Promise<void> {
    const server = redis.servers[0]!;
    switch (kind) {
      case "loses everything":
        await server.command("FLUSHALL");
        break;
      case "forgets its scripts":
        await server.command("SCRIPT", "FLUSH");
        break;
      case "evicts a key": {
        const keys = (await redis.keys(keyPrefix)).filter((key) => !key.endsWith(":clock"));
        if (keys.length > 0) await server.command("DEL", [...keys].sort()[at % keys.length]!);
        break;
      }
      case "is killed and starts empty":
        await server.kill();
        await server.launch();
        break;
      case "stands still for a moment":
        server.signal("SIGSTOP");
        await new Promise((resolve) => setTimeout(resolve, PROOF_MS));
        server.signal("SIGCONT");
        break;
    }
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
      stores[at] = make();
      await old.close();
    },
    fault: (kind, at) => {
      const done = clockSet.then(() => fault(kind, at));
      clockSet = done;
      return done;
    },
    recover: () =>
      eventually(async () => {
        await clockSet;
        for (const store of stores) {
          for (const name of [ALPHA, BETA]) await asHomeserver(store, name).position();
          expect(store.stats().remote?.isWell).toBe(true);
        }
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

const SIDECARS = 3;
const PROOF_MS = 100;
const TICK_MS = 5;
