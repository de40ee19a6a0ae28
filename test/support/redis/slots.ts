import { eventually } from "../eventually.js";
import type { RedisProcess } from "./processes.js";

/** The primary of a slot, and another one. */
export async function ownersOf(servers: readonly RedisProcess[], slot: number) {
  const slots = await servers[0]!.command<[number, number, [string, number]][]>("CLUSTER", "SLOTS");
  const primaryOf = (port: number) => servers.find((server) => server.port === port)!;
  const [, , [, port]] = slots.find(([first, last]) => first <= slot && slot <= last)!;
  const other = slots.find(([, , node]) => node[1] !== port)!;
  return { from: primaryOf(port), to: primaryOf(other[2][1]) };
}

/** Moves a slot as redis-cli does, and lets something happen when half of its keys have gone. */
export async function moveSlot(
  slot: number,
  from: RedisProcess,
  to: RedisProcess,
  halfway: () => Promise<void>,
): Promise<void> {
  const [fromNode, toNode] = await Promise.all(
    [from, to].map((server) => server.command<string>("CLUSTER", "MYID")),
  );
  const set = (server: RedisProcess, ...state: string[]) =>
    server.command("CLUSTER", "SETSLOT", String(slot), ...state);
  await set(to, "IMPORTING", fromNode!);
  await set(from, "MIGRATING", toNode!);
  const keys = () => from.command<string[]>("CLUSTER", "GETKEYSINSLOT", String(slot), "1000");
  const move = async (some: string[]) => {
    if (some.length === 0) return;
    // What was lost at one end may have been made anew at the other.
    await from.command("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "REPLACE", "KEYS", ...some);
  };
  const all = await keys();
  await move(all.slice(0, all.length / 2));
  await halfway();
  await move(await keys());
  await set(to, "NODE", toNode!);
  // A script that began before may have made another key since.
  await eventually(async () => {
    await move(await keys());
    await set(from, "NODE", toNode!);
  });
}
