import { eventually } from "../eventually.js";
import type { Sidecar } from "../model/system/sidecar.js";
import { messageEvent } from "../store/store-harness.js";
import type { Cluster } from "./cluster.js";
import { pause } from "./random.js";
import { ALL, nameOf, roomOf, type SoakHomeserver } from "./soak-homeserver.js";

const AT_ONCE = 500;
/** Many times what it takes on a machine of its own. */
const HEAL_MS = 20_000;

/**
 * Without faults and writers: every event is stored at one sidecar
 * and read at the others. Then the sidecars are killed and started again, one after the other. Fails
 * if a sidecar that kept running has lost anything or, with a tier, if a sidecar that starts lacks anything.
 *
 * It begins with a purge, so that every event is stored anew: of what a sidecar has in its memory, a
 * fault may have taken the copy in the tier.
 */
export async function expectWarmAfterRestarts(
  { sidecars, tier }: Cluster,
  homeservers: readonly SoakHomeserver[],
): Promise<void> {
  for (const homeserver of homeservers) {
    await eventually(async () => {
      await sidecars[0]!.sidecar.purgeHomeserver(homeserver.name, false);
      for (const { sidecar } of sidecars) await fill(homeserver, sidecar);
      for (const { sidecar } of sidecars) await expectAll(homeserver, sidecar);
    });
  }
  for (const one of sidecars) {
    await one.kill();
    const others = sidecars.filter((other) => other !== one);
    for (const homeserver of homeservers)
      for (const { sidecar } of others) await eventually(() => expectAll(homeserver, sidecar));
    await one.launch();
    for (const homeserver of homeservers) {
      if (tier !== undefined) await eventually(() => expectAll(homeserver, one.sidecar));
      else await eventually(() => fill(homeserver, one.sidecar));
    }
  }
}

/** Stores what a sidecar does not have; with a tier, that is what the tier does not have either. */
async function fill(homeserver: SoakHomeserver, sidecar: Sidecar): Promise<void> {
  for (const ids of slices()) {
    const reply = await read(homeserver, sidecar, ids);
    const absent = ids.filter((_, at) => reply.events[at] === undefined);
    const events = absent.map((n) =>
      messageEvent(nameOf(n), { roomId: roomOf(n), text: homeserver.textOf(n) }),
    );
    if (events.length > 0)
      await sidecar.putEvents({ homeserver: homeserver.name, events, asOf: reply.position });
  }
}

async function expectAll(homeserver: SoakHomeserver, sidecar: Sidecar): Promise<void> {
  let misses = 0;
  for (const ids of slices()) {
    const { events } = await read(homeserver, sidecar, ids);
    misses += events.filter((event) => event === undefined).length;
  }
  if (misses > 0) throw new Error(`${misses} of ${ALL.length} events of ${homeserver.name} are missing`);
}

function read({ name }: SoakHomeserver, sidecar: Sidecar, ids: readonly number[]) {
  const eventIds = ids.map(nameOf);
  return sidecar.getEvents({ homeserver: name, eventIds, view: "original", minPosition: undefined });
}

function* slices(): Generator<readonly number[]> {
  for (let from = 0; from < ALL.length; from += AT_ONCE) yield ALL.slice(from, from + AT_ONCE);
}

/** The faults are over: by then the cluster must have healed. */
export async function healed<T>(check: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + HEAL_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await pause(50);
    }
  }
}
