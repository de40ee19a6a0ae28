import { randomBytes, randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import { afterEach, expect } from "vitest";
import type { Epoch, EventId, Homeserver, NewEvent, RoomId } from "../../../src/core/model/types.js";
import type { Tier, TierEntry } from "../../../src/tier/port.js";
import { createRedisTier, type RedisTierOptions } from "../../../src/tier/redis/redis-tier.js";
import { eventually } from "../eventually.js";

export const ALPHA = "alpha.example" as Homeserver;
export const BETA = "beta.example" as Homeserver;
export const SECRET = Buffer.alloc(32, "a secret of tests");
export const EPOCH = "000102030405060708090a0b0c0d0e0f" as Epoch;
export const TTL_MS = 3_600_000;

export const idOf = (n: number) => `$event-${n}` as EventId;

/** An entry with everything that an entry may have, unless it is said otherwise. */
export function entryOf(n: number, given: Partial<NewEvent> = {}): TierEntry {
  return {
    event: {
      eventId: idOf(n),
      roomId: "!room:alpha.example" as RoomId,
      roomVersion: "10",
      body: Buffer.from(`{"type":"m.room.message","n":${n}}`),
      rejected: true,
      rejectedReason: "not allowed ✗",
      redaction: { redactedBy: "$redaction" as EventId, redactedBody: Buffer.from(`{"n":${n}}`) },
      internalMetadata: Buffer.from(`{"stream_ordering":${n}}`),
      ...given,
    },
    asOf: { epoch: EPOCH, sequence: 2 ** 53 - 2 - n },
    expiresAtMs: Date.now() + 2 * TTL_MS,
  };
}

/** Without the difference between a Buffer and a view of one. */
export function plain(entries: readonly TierEntry[] | undefined): unknown {
  const asPlain = ({ event, asOf, expiresAtMs }: TierEntry) => ({
    ...{ asOf, expiresAtMs },
    event: {
      ...event,
      body: String(event.body),
      redaction: event.redaction && {
        ...event.redaction,
        redactedBody: event.redaction.redactedBody && String(event.redaction.redactedBody),
      },
      internalMetadata: String(event.internalMetadata),
    },
  });
  const sorted = [...(entries ?? [])].sort((one, other) =>
    one.event.eventId < other.event.eventId ? -1 : 1,
  );
  return sorted.map(asPlain);
}

export interface OpenTier {
  readonly tier: Tier;
  readonly logged: string[];
  /** Puts entries and waits until they are written. */
  write(homeserver: Homeserver, entries: readonly TierEntry[]): Promise<void>;
  /** Reads when the tier can be read, and again if that takes too long. */
  read(homeserver: Homeserver, ids: readonly EventId[]): Promise<readonly TierEntry[]>;
}

/** Tiers that are closed after each test; tiers of one test share keys that no other test has. */
export function useTiers() {
  let keyPrefix = `test-${randomUUID()}`;
  let opened: Tier[] = [];
  afterEach(async () => {
    for (const tier of opened) await tier.close();
    opened = [];
    keyPrefix = `test-${randomUUID()}`;
  });
  return {
    keyPrefix: () => keyPrefix,
    async open(given: Pick<RedisTierOptions, "target"> & Partial<RedisTierOptions>): Promise<OpenTier> {
      const one = this.start(given);
      await eventually(() => expect(one.tier.status().isUp).toBe(true));
      // The connection for fills is another one.
      await one.write(ALPHA, [entryOf(0, { eventId: `$warm-${randomBytes(6).toString("hex")}` as EventId })]);
      return one;
    },
    /** The same, without waiting. */
    start(given: Pick<RedisTierOptions, "target"> & Partial<RedisTierOptions>): OpenTier {
      const logged: string[] = [];
      const tier = createRedisTier({
        ...{ keyPrefix, secret: SECRET, ttlMs: TTL_MS },
        // Ample on a busy machine; tests of the limit give the true one.
        readMsMax: 5000,
        clock: () => performance.now(),
        wallClock: () => Date.now(),
        observer: {
          connected: (target) => logged.push(`connected ${target}`),
          failed: (cause, message) => logged.push(`${cause}: ${message}`),
        },
        ...given,
      });
      opened.push(tier);
      return {
        tier,
        logged,
        async write(homeserver, entries) {
          await eventually(async () => {
            const before = tier.status().entries.written;
            tier.put(homeserver, entries);
            await soon(() => expect(tier.status().entries.written).toBe(before + entries.length));
          });
        },
        read: (homeserver, ids) =>
          eventually(async () => {
            const before = tier.status().errors["timeout"];
            const found = await tier.get(homeserver, ids);
            expect(found).toBeDefined();
            // On a busy machine an answer may be late.
            expect(tier.status().errors["timeout"]).toBe(before);
            return found!;
          }),
      };
    },
  };
}

async function soon(check: () => void): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return check();
    } catch (error) {
      if (tries > 40) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
