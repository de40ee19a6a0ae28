import fc from "fast-check";
import { ALL, AT_ONCE, type Command } from "./commands.js";
import { writes } from "./plans.js";
import { readAndFill } from "./reader.js";
import { type RedisHost, SIDECARS } from "./redis-host.js";
import { EVENTS, type World } from "./world.js";
import { type WritePlan, write } from "./writer.js";

/** What can befall Redis, so often that something does in every run. */
export function redisCommands(faults: readonly string[]): fc.Arbitrary<Command>[] {
  const fault = fc.record({ fault: fc.constantFrom(...faults), at: fc.nat() });
  const befall = (world: World, { fault, at }: Befalling) => (world.host as RedisHost).fault(fault, at);
  const alone = fault.map((one) => command(`Redis ${one.fault} (${one.at})`, (world) => befall(world, one)));
  const meanwhile = fc
    .tuple(fault, writes)
    .map(([one, { home, ...plan }]) =>
      command(`Redis ${one.fault} (${one.at}) during ${JSON.stringify({ home, ...plan })}`, (world) =>
        changeMeanwhile(world, home, plan, () => befall(world, one)),
      ),
    );
  return [alone, alone, meanwhile, meanwhile, meanwhile];
}

interface Befalling {
  readonly fault: string;
  readonly at: number;
}

function command(label: string, act: (world: World) => Promise<void>): Command {
  return {
    check: () => true,
    async run(_, world) {
      world.check();
      await act(world);
      world.check();
    },
    toString: () => label,
  };
}

/** What all sidecars served before is changed while something befalls Redis; then all of them are asked. */
async function changeMeanwhile(
  { homes }: World,
  at: number,
  plan: WritePlan,
  befall: () => Promise<void>,
): Promise<void> {
  const home = homes[at]!;
  await readAndFill(home, ALL, AT_ONCE);
  await befall();
  const readAll = async () => {
    for (let one = 0; one < SIDECARS; one++) await home.read(EVENTS);
  };
  for (let times = 0; times < SIDECARS; times++) {
    await Promise.all([write(home, plan, AT_ONCE).then(readAll), readAll()]);
    await readAndFill(home, ALL, AT_ONCE);
  }
}
