import { eventually } from "../eventually.js";
import type { Sidecar } from "../model/sidecar.js";
import { messageEvent } from "../store/store-harness.js";
import type { Cluster } from "./cluster.js";
import { ALL, nameOf, roomOf, type SoakedHome } from "./soaked-home.js";

const AT_ONCE = 500;

/**
 * When nothing befalls the cluster any more, and nobody writes: every event is stored at one sidecar
 * and read at the others. Then the sidecars are killed and started again, one after the other. Fails
 * if a sidecar that kept running has lost anything or, with a tier, if a sidecar that starts lacks anything.
 *
 * It begins with a purge, so that every event is stored anew: of what a sidecar has in its memory, a
 * fault may have taken the copy in the tier.
 */
export async function expectWarmAfterRestarts(
  { sidecars, tier }: Cluster,
  homes: readonly SoakedHome[],
): Promise<void> {
  for (const home of homes) {
    await eventually(async () => {
      await sidecars[0]!.sidecar.purgeHomeserver(home.name, false);
      for (const { sidecar } of sidecars) await fill(home, sidecar);
      for (const { sidecar } of sidecars) await expectAll(home, sidecar);
    });
  }
  for (const one of sidecars) {
    await one.kill();
    const others = sidecars.filter((other) => other !== one);
    for (const home of homes)
      for (const { sidecar } of others) await eventually(() => expectAll(home, sidecar));
    await one.launch();
    for (const home of homes) {
      if (tier !== undefined) await eventually(() => expectAll(home, one.sidecar));
      else await eventually(() => fill(home, one.sidecar));
    }
  }
}

/** Stores what a sidecar does not have; with a tier, that is what the tier does not have either. */
async function fill(home: SoakedHome, sidecar: Sidecar): Promise<void> {
  for (const ids of slices()) {
    const reply = await read(home, sidecar, ids);
    const absent = ids.filter((_, at) => reply.events[at] === undefined);
    const events = absent.map((n) => messageEvent(nameOf(n), { roomId: roomOf(n), text: home.textOf(n) }));
    if (events.length > 0) await sidecar.putEvents({ homeserver: home.name, events, asOf: reply.position });
  }
}

async function expectAll(home: SoakedHome, sidecar: Sidecar): Promise<void> {
  let misses = 0;
  for (const ids of slices()) {
    const { events } = await read(home, sidecar, ids);
    misses += events.filter((event) => event === undefined).length;
  }
  if (misses > 0) throw new Error(`${misses} of ${ALL.length} events of ${home.name} are missing`);
}

function read({ name }: SoakedHome, sidecar: Sidecar, ids: readonly number[]) {
  const eventIds = ids.map(nameOf);
  return sidecar.getEvents({ homeserver: name, eventIds, view: "original", minPosition: undefined });
}

function* slices(): Generator<readonly number[]> {
  for (let from = 0; from < ALL.length; from += AT_ONCE) yield ALL.slice(from, from + AT_ONCE);
}
