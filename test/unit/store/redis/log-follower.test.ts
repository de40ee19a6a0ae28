import { describe, expect, it } from "vitest";
import { newCounters } from "../../../../src/core/counters.js";
import type { Epoch, Position } from "../../../../src/core/types.js";
import { LogFollower, type LogPage } from "../../../../src/store/redis/log-follower.js";
import { remoteState } from "../../../support/redis/remote-state.js";

const EPOCH = "aa".repeat(16) as Epoch;
const FRESH_MS = 100;

/** A log elsewhere, of which each page is asked for. */
function newFollower() {
  let nowMs = 0;
  const log: string[] = [];
  const remote = {
    ...{ epoch: EPOCH, trimmedThrough: 0, answers: true, believed: "r", kind: "invalidated" },
    /** Of each change, if it is not the one that was announced. */
    eventIds: undefined as readonly string[] | undefined,
  };
  let pages = 0;
  let waiting: (() => void)[] | undefined;
  const readLog = async (after: Position, count: number): Promise<LogPage | undefined> => {
    pages += 1;
    if (waiting !== undefined) await new Promise<void>((resolve) => waiting!.push(resolve));
    if (!remote.answers) return undefined;
    const sequence = log.length;
    const isKnown = after.epoch === remote.epoch && after.sequence >= remote.trimmedThrough;
    const entries = isKnown
      ? log.slice(after.sequence, after.sequence + count).map(entryOf(after, remote))
      : [];
    const state = remoteState({ epoch: remote.epoch, sequence }, remote.trimmedThrough);
    return { state, entries };
  };
  const followed: string[] = [];
  const follower = new LogFollower({
    channel: { follow: () => followed.push("follow"), unfollow: () => followed.push("unfollow") },
    readLog,
    isBelieved: ({ replicationId }) => replicationId === remote.believed,
    counters: newCounters(),
    clock: () => nowMs,
    freshForMs: FRESH_MS,
    logBytesMax: 4_000_000,
    defer: (run) => setImmediate(run),
    onClose: () => {},
  });
  const abort = new AbortController();
  return {
    follower,
    remote,
    announce: (...ids: string[]) => log.push(...ids),
    /** What the newest change is published with. */
    message: () => {
      const words = ["k", "invalidated", "r", "", "x", "", "e", log.at(-1)];
      return JSON.stringify([remote.epoch, String(log.length), "r", 0, words]);
    },
    pages: () => pages,
    followed,
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** Holds pages back until they are let go. */
    hold: () => {
      waiting = [];
    },
    letGo: () => {
      const held = waiting ?? [];
      waiting = undefined;
      for (const resolve of held) resolve();
    },
    open: async (resumeAfter?: Position) => (await follower.subscribe(resumeAfter, abort.signal))!,
    close: () => abort.abort(),
  };
}

function entryOf(
  after: Position,
  remote: { readonly kind: string; readonly eventIds?: readonly string[] | undefined },
) {
  return (id: string, at: number): LogPage["entries"][number] => {
    const ids = (remote.eventIds ?? [id]).flatMap((eventId) => ["e", eventId]);
    const fields = ["k", remote.kind, "r", "", "x", "", ...ids].map((word) => Buffer.from(word));
    return [Buffer.from(`${after.sequence + at + 1}-0`), fields];
  };
}

describe("a copy of a log", () => {
  it("holds all that was announced, however many pages it takes", async () => {
    const { announce, open, close } = newFollower();
    announce(...Array.from({ length: 4500 }, (_, n) => `$${n}`));
    const frames = await open({ epoch: EPOCH, sequence: 0 });
    expect((await frames.next()).value).toMatchObject({ kind: "ready", resumed: true });
    let heard = 0;
    while (heard < 4500) {
      const { value } = await frames.next();
      if (value?.kind !== "batch") throw new Error("no batch");
      heard += value.notices.length;
    }
    close();
  });

  it("reads again what may have been announced after a reading began", async () => {
    const { follower, announce, hold, letGo, open, close } = newFollower();
    const frames = await open();
    await frames.next();
    hold();
    const first = follower.catchUp();
    const second = follower.catchUp();
    expect(follower.catchUp()).toBe(second);
    announce("$late");
    letGo();
    await Promise.all([first, second]);
    expect((await frames.next()).value).toMatchObject({ kind: "batch", to: { sequence: 1 } });
    close();
  });

  it("is silent, even of what it holds, once it does not know whether it is all", async () => {
    const { follower, remote, announce, pass, open, close } = newFollower();
    announce("$a");
    const frames = await open({ epoch: EPOCH, sequence: 0 });
    await frames.next();
    pass(FRESH_MS);
    remote.answers = false;
    expect(await follower.catchUp()).toBe(false);
    let isSilent = true;
    const next = frames.next().then((frame) => {
      isSilent = false;
      return frame;
    });
    follower.hub.tick();
    await new Promise((resolve) => setImmediate(resolve));
    expect(isSilent).toBe(true);
    remote.answers = true;
    await follower.catchUp();
    expect((await next).value).toMatchObject({ kind: "batch" });
    close();
  });

  it("takes the next change from its announcement, without reading", async () => {
    const { follower, announce, message, pages, open, close } = newFollower();
    const frames = await open();
    await frames.next();
    announce("$a");
    follower.hear(message());
    follower.hear(message());
    expect((await frames.next()).value).toMatchObject({
      kind: "batch",
      to: { sequence: 1 },
      notices: [{ sequence: 1, change: { kind: "invalidated", eventIds: ["$a"] } }],
    });
    expect(pages()).toBe(1);
    close();
  });

  it.each([
    ["one that says nothing", () => ""],
    ["one that is none of ours", () => "{"],
    ["one after another that was lost", (message: string) => message],
    ["one of a kind that is not known", (message: string) => message.replace("invalidated", "another")],
    ["one of another epoch", (message: string) => message.replace(EPOCH, "cc".repeat(16))],
  ])("reads the log at a message: %s", async (_, made) => {
    const { follower, announce, message, pages, open, close } = newFollower();
    const frames = await open();
    await frames.next();
    announce("$a", "$b");
    follower.hear(made(message()));
    expect((await frames.next()).value).toMatchObject({ kind: "batch", to: { sequence: 2 } });
    expect(pages()).toBe(2);
    close();
  });

  it("believes no announcement of a server that may be believed no more", async () => {
    const { follower, remote, announce, message, pages, open, close } = newFollower();
    await open();
    announce("$a");
    remote.believed = "another";
    remote.answers = false;
    follower.hear(message());
    expect(follower.size.changes).toBe(0);
    expect(pages()).toBe(2);
    close();
  });

  it("takes a change once that comes both in a page and in an announcement", async () => {
    const { follower, announce, message, hold, letGo, open, close } = newFollower();
    const frames = await open();
    await frames.next();
    hold();
    const reading = follower.catchUp();
    announce("$a");
    follower.hear(message());
    announce("$b");
    letGo();
    await reading;
    expect((await frames.next()).value).toMatchObject({
      kind: "batch",
      notices: [{ sequence: 1 }, { sequence: 2 }],
    });
    close();
  });

  it("begins a little before its first subscriber, and is gone with its last", async () => {
    const { follower, announce } = newFollower();
    announce(...Array.from({ length: 3000 }, (_, n) => `$${n}`));
    const subscribe = async (sequence?: number) => {
      const abort = new AbortController();
      const resumeAfter = sequence === undefined ? undefined : { epoch: EPOCH, sequence };
      const frames = (await follower.subscribe(resumeAfter, abort.signal))!;
      return { first: (await frames.next()).value, end: () => abort.abort() };
    };
    const one = await subscribe();
    expect(follower.size.changes).toBe(1000);
    const other = await subscribe(2000);
    expect(other.first).toMatchObject({ kind: "ready", resumed: true });
    expect((await subscribe(1999)).first).toMatchObject({ kind: "reset", reason: "tooOld" });
    one.end();
    other.end();
    expect(follower.size.changes).toBe(1000);
  });

  it("holds nothing for nobody", async () => {
    const { follower, announce, hold, letGo, open, close } = newFollower();
    announce("$a");
    await open();
    expect(follower.size.changes).toBe(1);
    hold();
    const reading = follower.catchUp();
    close();
    letGo();
    expect(await reading).toBe(false);
    expect(follower.size).toMatchObject({ changes: 0, bytes: 0 });
  });

  it.each([
    ["is of a kind that it does not know", "another", ["$a"]],
    ["redacts nothing", "redacted", []],
    ["rejects nothing", "rejected", []],
    ["purges no room", "roomPurged", []],
  ])("resets its subscribers at a change that %s", async (_what, kind, eventIds) => {
    const { follower, remote, announce, open, close } = newFollower();
    const frames = await open();
    await frames.next();
    remote.kind = kind;
    remote.eventIds = eventIds;
    announce("$a");
    await follower.catchUp();
    expect((await frames.next()).value).toMatchObject({ kind: "reset", position: { sequence: 1 } });
    close();
  });

  it("follows its channel as long as it has a subscriber, or one is on its way", async () => {
    const { follower, remote, followed, hold, letGo } = newFollower();
    const [one, other] = [new AbortController(), new AbortController()];
    await follower.subscribe(undefined, one.signal);
    hold();
    const opening = follower.subscribe(undefined, other.signal);
    one.abort();
    expect(followed).toEqual(["follow"]);
    letGo();
    await opening;
    other.abort();
    expect(followed).toEqual(["follow", "unfollow"]);
    remote.answers = false;
    expect(await follower.subscribe(undefined, one.signal)).toBeUndefined();
    expect(followed).toEqual(["follow", "unfollow", "follow", "unfollow"]);
  });

  it("resets who is behind a part that is gone, and tells why an epoch is another", async () => {
    const { follower, remote, announce, open, close } = newFollower();
    announce("$a");
    const frames = await open();
    await frames.next();
    announce("$b", "$c");
    remote.trimmedThrough = 2;
    await follower.catchUp();
    expect((await frames.next()).value).toMatchObject({ kind: "reset", reason: "tooOld" });
    announce("$d");
    await follower.catchUp();
    expect((await frames.next()).value).toMatchObject({ kind: "batch", notices: [{ sequence: 4 }] });
    remote.epoch = "bb".repeat(16) as Epoch;
    await follower.catchUp();
    expect((await frames.next()).value).toMatchObject({ kind: "reset", reason: "wrongEpoch" });
    close();
  });
});
