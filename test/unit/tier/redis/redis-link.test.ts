import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  CONNECT_MS_MAX,
  RECONNECT_MS_MAX,
  RECONNECT_MS_MIN,
  SILENCE_MS_MAX,
} from "../../../../src/tier/redis/limits.js";
import { RedisLink } from "../../../../src/tier/redis/redis-link.js";
import { FakeConnection } from "../../../support/tier/fake-connection.js";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function openLink(connects = true) {
  const made: FakeConnection[] = [];
  const observed: string[] = [];
  const link = new RedisLink(
    (onLost) => {
      const connection = new FakeConnection(onLost, connects);
      made.push(connection);
      return connection;
    },
    () => vi.getMockedSystemTime()!.getTime(),
    {
      connected: () => observed.push("connected"),
      disconnected: (error) => observed.push(`disconnected ${(error as Error).message}`),
      failed: (error) => observed.push(`failed ${(error as Error).message}`),
    },
  );
  return { link, made, observed, last: () => made.at(-1)! };
}

const turn = () => vi.advanceTimersByTimeAsync(0);
const command = (link: RedisLink) => link.run((connection) => connection.send("key", ["GET", "key"]));
const outcome = (promise: Promise<unknown>) => promise.catch((error: Error) => error.message);

describe("a link", () => {
  it("runs commands once it is connected, and none before or after", async () => {
    const { link, last } = openLink();
    await expect(command(link)).rejects.toThrow("no connection");
    await turn();
    const reply = command(link);
    last().received[0]!.answer("value");
    await expect(reply).resolves.toBe("value");
    link.close();
    await expect(command(link)).rejects.toThrow("no connection");
  });

  it("gives up a connection whose server is silent, with all that waits for it", async () => {
    const { link, made, observed } = openLink();
    await turn();
    const replies = [outcome(command(link)), outcome(command(link))];
    await vi.advanceTimersByTimeAsync(2 * SILENCE_MS_MAX);
    expect(await Promise.all(replies)).toEqual(Array(2).fill(expect.stringContaining("no reply within")));
    expect(made[0]!.isDestroyed).toBe(true);
    expect(made).toHaveLength(2);
    expect(observed).toEqual(["connected", expect.stringContaining("disconnected"), "connected"]);
    link.close();
  });

  it("gives up a connection on which one command stays without a reply while others are answered", async () => {
    const { link, made, last } = openLink();
    await turn();
    const stuck = outcome(command(link));
    for (let ms = 0; ms <= SILENCE_MS_MAX; ms += 100) {
      const reply = outcome(command(link));
      last().received.at(-1)!.answer("value");
      await reply;
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(await stuck).toContain("no reply within");
    expect(made[0]!.isDestroyed).toBe(true);
    link.close();
  });

  it("does not give up a connection on which nothing is asked", async () => {
    const { link, made } = openLink();
    await vi.advanceTimersByTimeAsync(10 * SILENCE_MS_MAX);
    expect(made).toHaveLength(1);
    link.close();
  });

  it("destroys a client that connects too late, also then", async () => {
    const { link, made, observed } = openLink(false);
    await vi.advanceTimersByTimeAsync(CONNECT_MS_MAX);
    expect(made[0]!.isDestroyed).toBe(true);
    expect(observed).toEqual([expect.stringContaining("failed no connection within")]);
    made[0]!.isDestroyed = false;
    made[0]!.finishConnecting();
    await turn();
    expect(made[0]!.isDestroyed).toBe(true);
    expect(link.isUp).toBe(false);
    link.close();
  });

  it("tries again after longer and longer pauses, and is quiet once it is closed", async () => {
    const { link, made } = openLink(false);
    const pausesMs: number[] = [];
    for (let attempt = 1; attempt <= 12; attempt++) {
      made.at(-1)!.finishConnecting(new Error("refused"));
      let pauseMs = 0;
      for (; made.length === attempt; pauseMs += 5) await vi.advanceTimersByTimeAsync(5);
      pausesMs.push(pauseMs);
    }
    expect(pausesMs[0]).toBeLessThanOrEqual(RECONNECT_MS_MIN + 5);
    expect(pausesMs.at(-1)).toBeGreaterThanOrEqual(RECONNECT_MS_MAX / 2);
    expect(pausesMs.at(-1)).toBeLessThanOrEqual(RECONNECT_MS_MAX + 5);
    link.close();
    made.at(-1)!.finishConnecting(new Error("refused"));
    await vi.advanceTimersByTimeAsync(10 * RECONNECT_MS_MAX);
    expect(made).toHaveLength(13);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("makes another connection when the library gives one up, once however often it says so", async () => {
    const { link, made, observed } = openLink();
    await turn();
    made[0]!.onLost(new Error("reset"));
    made[0]!.onLost(new Error("closed"));
    await vi.advanceTimersByTimeAsync(RECONNECT_MS_MAX);
    expect(made).toHaveLength(2);
    expect(observed.filter((line) => line.startsWith("disconnected"))).toHaveLength(1);
    // An old one has no say any more.
    made[0]!.onLost(new Error("again"));
    expect(link.isUp).toBe(true);
    link.close();
  });
});
