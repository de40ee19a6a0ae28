import { vi } from "vitest";
import { Failures } from "../../../src/tier/redis/failures.js";
import { Fills } from "../../../src/tier/redis/fills.js";
import { KeyNames } from "../../../src/tier/redis/keys.js";
import { MetadataCodec } from "../../../src/tier/redis/metadata.js";
import { RedisLink } from "../../../src/tier/redis/redis-link.js";
import { FakeConnection } from "./fake-connection.js";
import { SECRET } from "./use-tiers.js";

export const turns = async (count: number) => {
  for (let n = 0; n < count; n++) await vi.advanceTimersByTimeAsync(1);
};

const clock = () => vi.getMockedSystemTime()!.getTime();

export async function openFills() {
  const failures = new Failures({ connected: () => {}, failed: () => {} }, clock);
  let connection!: FakeConnection;
  const link = new RedisLink(
    (onLost) => {
      connection = new FakeConnection(onLost);
      return connection;
    },
    clock,
    { connected: () => {}, disconnected: () => {}, failed: () => {} },
  );
  const fills = new Fills({
    ...{ link, failures, ttlMs: 60_000, wallClock: clock },
    names: new KeyNames("test"),
    codec: new MetadataCodec(SECRET),
  });
  return { fills, failures, received: () => connection.received };
}
