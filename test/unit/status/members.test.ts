import { describe, expect, it } from "vitest";
import { Members } from "../../../src/status/members.js";
import type { MemberView } from "../../../src/status/sources.js";

const MEMBER: MemberView = {
  ...{ id: "a", isSelf: true, isLive: true, joinedAtMs: undefined },
  ...{ homeservers: 1, lag: 0 },
};

/** Members of a log that answers as `answer` does, and the number of times that it was read. */
function membersOf(answer: () => Promise<readonly MemberView[]>, isShared = true) {
  const state = { readings: 0, nowMs: 0 };
  const source = {
    list: () => {
      state.readings += 1;
      return answer();
    },
  };
  const members = new Members({ source, isShared, maxAgeMs: 10, waitMs: 1, clock: () => state.nowMs });
  return { members, state };
}

describe("the members of the log", () => {
  it("are read once for all viewers of a sample, and not at all without a shared log", async () => {
    const { members, state } = membersOf(async () => [MEMBER]);
    const [list] = await Promise.all([members.list(), members.list()]);
    expect(list).toEqual({ isShared: true, members: [MEMBER], hasMore: false, isOld: false });
    expect(await members.list()).toBe(list);
    expect(state.readings).toBe(1);
    state.nowMs = 10;
    await members.list();
    expect(state.readings).toBe(2);
    const own = membersOf(async () => [MEMBER], false);
    expect(await own.members.list()).toEqual({ isShared: false, members: [], hasMore: false, isOld: false });
    expect(own.state.readings).toBe(0);
  });

  it("stay as they were last known while the log fails or does not answer", async () => {
    let answer = async (): Promise<readonly MemberView[]> => [MEMBER];
    const { members, state } = membersOf(() => answer());
    await members.list();
    answer = () => Promise.reject(new Error("down"));
    state.nowMs = 10;
    expect(await members.list()).toMatchObject({ members: [MEMBER], isOld: true });
    answer = () => new Promise(() => {});
    state.nowMs = 20;
    expect(await members.list()).toMatchObject({ members: [MEMBER], isOld: true });
    // It still waits for the first answer.
    await members.list();
    expect(state.readings).toBe(3);
  });

  it("are at most a hundred", async () => {
    const { members } = membersOf(async () => Array.from({ length: 101 }, () => MEMBER));
    const list = await members.list();
    expect([list.members.length, list.hasMore]).toEqual([100, true]);
  });
});
