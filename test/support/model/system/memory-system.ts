import { vi } from "vitest";
import type { EventStore } from "../../../../src/core/model/store.js";
import type { Homeserver } from "../../../../src/core/model/types.js";
import { makeMemoryStore } from "../../store/store-harness.js";
import type { Sidecar } from "./sidecar.js";
import type { SystemUnderTest } from "./system-under-test.js";

export interface MemorySystemOptions {
  /** A budget for a few entries and changes; undefined: one from which nothing is ever evicted. */
  readonly tinyBytes: number | undefined;
  /** Makes a store's sidecar: the store itself, or a server and a client of it. */
  readonly connect: (store: EventStore) => Promise<Connection>;
  /** Puts a watch on each new sidecar. */
  readonly watch: (sidecar: Sidecar, surroundings: WatchSurroundings) => Watch;
}

export interface Connection {
  readonly sidecar: Sidecar;
  close(): Promise<void>;
}

/** A sidecar that fails when it answers what it must not. */
export interface Watch {
  readonly sidecar: Sidecar;
  /** Called when timers ran. */
  ticked(): void;
  /** Judges what can only be judged when no call is under way. */
  check(): void;
}

export interface WatchSurroundings {
  nowMs(): number;
  /** How many changes a homeserver's log holds; undefined if the store knows no such homeserver. */
  logChanges(homeserver: Homeserver): number | undefined;
  /** Whether the store is so small that it evicts entries and lets changes go. */
  readonly isTiny: boolean;
}

/**
 * Starts a memory store that lives by the system's clock. `setInterval` must be
 * fake: the store's background work runs when a test calls tick or sweep.
 */
export async function startMemoryHost({
  tinyBytes,
  connect,
  watch,
}: MemorySystemOptions): Promise<SystemUnderTest> {
  let nowMs = 1;
  let running = await start();
  let restarted = Promise.resolve();

  async function start() {
    const { store } = makeMemoryStore({
      ...(tinyBytes !== undefined && { memoryBytes: tinyBytes, heapBytesMax: (2 / 3) * tinyBytes }),
      clock: () => nowMs,
      progressIntervalMs: TICK_MS,
      sweepIntervalMs: SWEEP_MS,
      homeserversMax: HOMESERVERS,
    });
    const connection = await connect(store);
    const watched = watch(connection.sidecar, {
      nowMs: () => nowMs,
      logChanges: (homeserver) => store.stats().homeservers.get(homeserver)?.logChanges,
      isTiny: tinyBytes !== undefined,
    });
    return { store, connection, watched };
  }

  async function stop(): Promise<void> {
    const { store, connection } = running;
    await connection.close();
    await store.close();
  }

  function runTimers(ms: number): void {
    vi.advanceTimersByTime(ms);
    running.watched.ticked();
  }

  return {
    get sidecar() {
      return running.watched.sidecar;
    },
    nowMs: () => nowMs,
    advance: (ms) => {
      nowMs += ms;
    },
    tick: () => runTimers(TICK_MS),
    sweep: () => runTimers(SWEEP_MS),
    restart() {
      restarted = restarted.then(async () => {
        await stop();
        running = await start();
      });
      return restarted;
    },
    recover: async () => {},
    checkBounds() {
      const { events, metadata, ...all } = running.store.stats();
      expectAtMost("bytes of bodies", events.bytes, events.bytesMax);
      expectAtMost("bytes of metadata", metadata.bytes, metadata.bytesMax);
      expectAtMost("bytes of logs", all.logBytes, all.logBytesMax);
      expectAtMost("heap bytes", all.heapBytes, all.heapBytesMax);
    },
    checkEmpty() {
      const { events, metadata } = running.store.stats();
      expectAtMost("bodies that are left", events.entries, 0);
      expectAtMost("entries that are left", metadata.entries, 0);
      expectAtMost("bytes that are left", events.bytes + metadata.bytes, 0);
    },
    checkHistory: () => running.watched.check(),
    close: stop,
  };
}

const TICK_MS = 1000;
const SWEEP_MS = 20_000;
/** The two of the scenario, and a place for a stranger. */
const HOMESERVERS = 3;

function expectAtMost(what: string, count: number, max: number): void {
  if (count > max) throw new Error(`${what}: ${count}, at most ${max}`);
}
