import { expect, it } from "vitest";
import { DescriptorReserve } from "../../../src/net/descriptor-reserve.js";

const failure = (code: string) => Object.assign(new Error(code), { code });

/** A process that may have so many descriptors. */
function processWith(max: number) {
  const open = new Set<number>();
  let next = 0;
  const source = {
    open: () => {
      if (open.size >= max) throw failure("EMFILE");
      next += 1;
      open.add(next);
      return next;
    },
    close: (descriptor: number) => {
      expect(open.delete(descriptor)).toBe(true);
    },
  };
  return { source, open };
}

it("holds 16 descriptors, and says whether another is free", () => {
  const { source, open } = processWith(17);
  const reserve = new DescriptorReserve(source);
  expect(open.size).toBe(16);
  expect(reserve.hasFree()).toBe(true);
  const taken = source.open();
  expect(reserve.hasFree()).toBe(false);
  source.close(taken);
  expect(reserve.hasFree()).toBe(true);
});

it("lends its descriptors, takes them back when it can, and closes all", () => {
  const { source, open } = processWith(16);
  const reserve = new DescriptorReserve(source);
  reserve.lend();
  const taken = source.open();
  expect(reserve.hasFree()).toBe(false);
  expect(open.size).toBe(16);
  source.close(taken);
  // The reserve takes it back first.
  expect(reserve.hasFree()).toBe(false);
  expect(open.size).toBe(16);
  reserve.close();
  expect(open.size).toBe(0);
});

it("lends no more than it holds", () => {
  const { source, open } = processWith(2);
  const reserve = new DescriptorReserve(source);
  expect([reserve.lend(), reserve.lend(), reserve.lend()]).toEqual([true, true, false]);
  expect(open.size).toBe(0);
});

it.each([
  ["EMFILE", false],
  ["ENFILE", false],
  ["EACCES", true],
  ["ENOENT", true],
])("takes only a failure that means it for the end of descriptors: %s", (code, hasFree) => {
  const open = () => {
    throw failure(code);
  };
  const reserve = new DescriptorReserve({ open, close: () => {} });
  expect(reserve.hasFree()).toBe(hasFree);
  expect(reserve.lend()).toBe(false);
});
