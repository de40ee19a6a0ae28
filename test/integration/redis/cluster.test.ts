import slotOf from "cluster-key-slot";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClusterLink } from "../../../src/store/redis/cluster-link.js";
import { eventually } from "../../support/eventually.js";
import { freePort, hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { makeRedisHarness, QUIET, targetOf } from "../../support/redis/redis-harness.js";
import { ALPHA, asHomeserver } from "../../support/store-harness.js";
import { useStores } from "../../support/use-store.js";

/** A link that says why it cannot do what it is asked to. */
async function refusalAt(ports: readonly number[]): Promise<unknown> {
  const link = new ClusterLink(targetOf("cluster", ports), () => performance.now(), QUIET);
  try {
    return await link.getValues(["nothing"]).catch((error: unknown) => error);
  } finally {
    await link.close();
  }
}

const UNAVAILABLE = { kind: "unavailable" };
const SLOT = slotOf(`{${ALPHA}}`);
const LAST_SLOT = 16_383;

describe.skipIf(!(await hasRedisServer()))("a Cluster that is not whole yet", () => {
  let node: RedisProcess;
  beforeEach(async () => {
    node = await RedisProcess.start(["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]);
  });
  afterEach(() => node.stop());

  const newStore = useStores(() => {
    const link = new ClusterLink(targetOf("cluster", [node.port]), () => performance.now(), QUIET);
    const redis = {
      connect: () => link,
      command: (_key: string, ...args: string[]) => node.command(...args),
      keys: async () => [],
    };
    return makeRedisHarness(redis, { link });
  });
  const addSlots = async (...ranges: readonly (readonly [first: number, last: number])[]) => {
    await node.command("CLUSTER", "ADDSLOTSRANGE", ...ranges.flat().map(String));
  };

  it("is used as soon as it has slots", async () => {
    const alpha = asHomeserver(newStore().store, ALPHA);
    await expect(alpha.position()).rejects.toMatchObject(UNAVAILABLE);
    await addSlots([0, LAST_SLOT]);
    await eventually(() => alpha.position());
  });

  it("is not connected to after the end, though it was about to be", async () => {
    await addSlots([0, LAST_SLOT]);
    const connected: string[] = [];
    const log = { ...QUIET, connected: (address: string) => void connected.push(address) };
    const link = new ClusterLink(targetOf("cluster", [node.port]), () => performance.now(), log);
    const asked = link.getValues(["nothing"]);
    await link.close();
    await expect(asked).rejects.toThrow();
    expect(connected).toEqual([]);
  });

  it("is used as soon as the homeserver's slot has a node", async () => {
    await addSlots([0, SLOT - 1], [SLOT + 1, LAST_SLOT]);
    const alpha = asHomeserver(newStore().store, ALPHA);
    await expect(alpha.position()).rejects.toMatchObject(UNAVAILABLE);
    await addSlots([SLOT, SLOT]);
    await eventually(() => alpha.position());
  });
});

describe.skipIf(!(await hasRedisServer()))("why there is no connection to a Cluster", () => {
  it("is that nobody listens, or that it is none", async () => {
    const single = await RedisProcess.start();
    try {
      const away = await freePort();
      expect(await refusalAt([single.port, away])).toMatchObject({
        message: expect.stringContaining(`no connection to the Cluster at 127.0.0.1:${single.port},`),
      });
      const { message } = (await refusalAt([single.port, away])) as Error;
      expect(message).toContain("cluster support disabled");
      expect(message).toContain(`connect ECONNREFUSED 127.0.0.1:${away}`);
    } finally {
      await single.stop();
    }
  });

  it("is that the password is wrong", async () => {
    const single = await RedisProcess.start(["--cluster-enabled", "yes"]);
    try {
      await single.command("ACL", "SETUSER", "default", "resetpass", ">secret");
      expect(await refusalAt([single.port])).toMatchObject({
        kind: "denied",
        message: expect.stringContaining("NOAUTH"),
      });
    } finally {
      await single.stop();
    }
  });
});
