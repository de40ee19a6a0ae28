import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { boundGarbage } from "../../../src/process/heap-garbage.js";

const MIB = 2 ** 20;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function heapOf(usedMib: number) {
  const heap = { usedMib, percents: [] as number[] };
  const io = {
    usedBytes: () => heap.usedMib * MIB,
    setGrowthPercent: (percent: number) => void heap.percents.push(percent),
  };
  return { heap, io };
}

it("lets a small heap grow by what garbage may take, and to two and a half times its size at most", () => {
  const { heap, io } = heapOf(40);
  boundGarbage(io, 24 * MIB);
  heap.usedMib = 10;
  vi.advanceTimersByTime(1000);
  expect(heap.percents).toEqual([60, 150]);
});

it("takes the room back as the heap fills, down to the share below which collecting does not pay", () => {
  const { heap, io } = heapOf(40);
  boundGarbage(io, 24 * MIB);
  heap.usedMib = 120;
  vi.advanceTimersByTime(1000);
  heap.usedMib = 1000;
  vi.advanceTimersByTime(1000);
  expect(heap.percents).toEqual([60, 20, 15]);
});

it("leaves V8 alone while the heap stays as it is", () => {
  const { heap, io } = heapOf(40);
  boundGarbage(io, 24 * MIB);
  heap.usedMib = 41;
  vi.advanceTimersByTime(1000);
  expect(heap.percents).toEqual([60]);
});
