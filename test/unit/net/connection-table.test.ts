import { once } from "node:events";
import { Socket } from "node:net";
import { expect, it } from "vitest";
import { ConnectionTable, type OpenConnection } from "../../../src/net/connection-table.js";

/** A table; `free` says whether there is a descriptor for one more connection. */
function tableOf(max: number, free: () => boolean = () => true, reserve = 0) {
  let lent = 0;
  const lines: string[] = [];
  const table = new ConnectionTable({
    max,
    log: {
      displaced: (peer, { open }) => lines.push(`displaced ${peer} at ${open}`),
      refused: (peer, { open }) => lines.push(`refused ${peer} at ${open}`),
      noDescriptor: (peer, { open }) => lines.push(`no descriptor for ${peer} at ${open}`),
    },
    descriptors: { hasFree: free, lend: () => ++lent <= reserve },
    usesReserve: reserve > 0,
  });
  const accept = (peer: string): OpenConnection | undefined =>
    table.accept(Object.defineProperty(new Socket(), "remoteAddress", { value: peer }));
  return { table, lines, accept };
}

const isOpen = (connection: OpenConnection | undefined) => connection?.socket.destroyed === false;

it("closes an idle connection of the peer with the most connections to make room", () => {
  const { table, accept, lines } = tableOf(4);
  const other = accept("b");
  const [first, second, third] = ["a", "a", "a"].map(accept);
  expect(isOpen(accept("c"))).toBe(true);
  expect([other, first, second, third].map(isOpen)).toEqual([true, false, true, true]);
  expect(table.usage()).toMatchObject({ open: 4, max: 4, closed: { displaced: 1, refused: 0 } });
  expect(lines).toEqual(["displaced a at 3"]);
});

it("first closes connections that never carried a call, then the longest idle connection", () => {
  const { accept } = tableOf(3);
  const [first, second, unused] = ["a", "a", "a"].map(accept);
  for (const connection of [second, first]) {
    connection?.busy();
    connection?.idle();
  }
  accept("b");
  expect([first, second, unused].map(isOpen)).toEqual([true, true, false]);
  accept("b");
  expect([first, second].map(isOpen)).toEqual([true, false]);
});

it("keeps the connections of a peer that has more if all of them carry calls", () => {
  const { accept } = tableOf(3);
  const busy = ["a", "a"].map(accept);
  for (const connection of busy) connection?.busy();
  const idle = accept("b");
  expect(isOpen(accept("c"))).toBe(true);
  expect([...busy, idle].map(isOpen)).toEqual([true, true, false]);
});

it("refuses a connection while all others carry calls, and takes one as soon as one of them is idle", () => {
  const { table, accept, lines } = tableOf(2);
  const busy = ["a", "b"].map(accept);
  for (const connection of busy) connection?.busy();
  expect(accept("c")).toBeUndefined();
  expect(lines).toEqual(["refused c at 2"]);
  busy[0]?.idle();
  expect(isOpen(accept("c"))).toBe(true);
  expect(table.usage().closed).toMatchObject({ refused: 1, displaced: 1 });
});

it("counts each end once, by its first reason", async () => {
  const { table, accept } = tableOf(3);
  const [gone, ended, cut] = ["a", "b", "c"].map(accept);
  ended?.closing("idle");
  cut?.cut("silent");
  cut?.cut("displaced");
  for (const connection of [gone, ended]) connection?.socket.destroy();
  await Promise.all([gone, ended].map((connection) => connection && once(connection.socket, "close")));
  // What ends late does not come back.
  gone?.idle();
  expect(table.usage()).toMatchObject({ open: 0, closed: { peer: 1, idle: 1, silent: 1, displaced: 0 } });
});

it("closes an idle connection, or refuses the new one, while no descriptor is left", () => {
  let hasFree = true;
  const { table, accept, lines } = tableOf(9, () => hasFree);
  const first = accept("a");
  hasFree = false;
  const second = accept("b");
  expect([first, second].map(isOpen)).toEqual([false, true]);
  second?.busy();
  expect(accept("c")).toBeUndefined();
  expect(table.usage()).toMatchObject({ open: 1, closed: { displaced: 1, refused: 1 } });
  expect(lines).toEqual(["no descriptor for b at 1", "no descriptor for c at 1"]);
});

it("uses the reserve of descriptors before it closes a probe's connection", () => {
  const { accept } = tableOf(9, () => false, 2);
  const probes = ["a", "a", "a"].map(accept);
  expect(probes.map(isOpen)).toEqual([false, true, true]);
});
