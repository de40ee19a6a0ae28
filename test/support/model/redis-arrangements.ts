import { setTimeout as pause } from "node:timers/promises";
import { expect, vi } from "vitest";
import { ClusterLink } from "../../../src/store/redis/cluster-link.js";
import { PrimaryLink } from "../../../src/store/redis/primary-link.js";
import { eventually } from "../eventually.js";
import { LinkProxy } from "../redis/link-proxy.js";
import { RedisProcess } from "../redis/processes.js";
import { sidecarClock as clock, QUIET, targetOf } from "../redis/redis-harness.js";
import { moveSlot, ownersOf } from "../redis/slots.js";
import { startCluster, startSentinel } from "../redis/topologies.js";
import { ALPHA, BETA } from "../store-harness.js";
import { type Arrangement, commonFaults, FAULT_MS, Pending, type Scene } from "./redis-faults.js";

/** One server. */
export async function arrangeSingle(): Promise<Arrangement> {
  const server = await RedisProcess.start();
  const pending = new Pending();
  return {
    connect: () => new PrimaryLink(targetOf("single", [server.port]), clock, QUIET),
    replicasMin: 0,
    command: (_key, ...args) => server.command(...args),
    faults: {
      ...commonFaults(() => [server], pending.later),
      "is killed and starts empty": async () => {
        await pending.over();
        await server.kill();
        await server.launch();
      },
    },
    mend: () => pending.over(),
    stop: () => pending.end(() => server.stop()),
  };
}

/**
 * A primary and two replicas, which nobody watches over: who is primary, and when
 * which sidecar hears of it, is for the faults to say. Each sidecar has an address of
 * its own that leads to the primary it believes in, as behind a load balancer.
 */
export async function arrangeReplicated(sidecars: number): Promise<Arrangement> {
  const servers = await Promise.all([1, 2, 3].map(() => RedisProcess.start(["--repl-diskless-sync", "yes"])));
  const proxies = await Promise.all(
    Array.from({ length: sidecars }, () => LinkProxy.start(servers[0]!.port)),
  );
  const pending = new Pending();
  let primary = servers[0]!;
  const replicas = () => servers.filter((server) => server !== primary);
  /** One that is still loading what it was sent refuses at first. */
  const replicaOf = (server: RedisProcess, ...of: [string, string]) =>
    eventually(() => server.command("REPLICAOF", ...of));
  const follow = (server: RedisProcess) => replicaOf(server, "127.0.0.1", String(primary.port));
  const lead = (proxy: LinkProxy) => proxy.lead(primary.port, { drops: true });

  /** A replica takes over; of the old primary, nothing is asked. */
  async function takeOver(at: number): Promise<void> {
    const next = replicas()[at % 2]!;
    const old = primary;
    await replicaOf(next, "NO", "ONE");
    primary = next;
    for (const server of replicas()) if (server !== old) await follow(server);
  }

  /** The sidecars hear of it: some at once, the others in a while, in which the old one serves on. */
  function tell(at: number, old: RedisProcess): void {
    const late = proxies.filter((proxy, n) => {
      const isLate = ((at >> n) & 1) === 1;
      if (!isLate) lead(proxy);
      return isLate;
    });
    pending.later(LATE_MS, async () => {
      for (const proxy of late) lead(proxy);
      await follow(old);
    });
  }

  /** That it has what the one has that it follows. */
  const untilCopied = (replica: RedisProcess) =>
    eventually(async () => {
      expect(await replica.command("INFO", "replication")).toContain("master_link_status:up");
    });

  const onOne = (act: (proxy: LinkProxy, scene: Scene) => void) => async (scene: Scene) => {
    const proxy = proxies[scene.at % proxies.length]!;
    act(proxy, scene);
    pending.later(FAULT_MS + ((scene.at >> 4) % 8) * FAULT_MS, async () => proxy.set({}));
  };

  const arrangement: Arrangement = {
    connect: (sidecar) => new PrimaryLink(targetOf("single", [proxies[sidecar]!.port]), clock, QUIET),
    replicasMin: 1,
    command: (_key, ...args) => primary.command(...args),
    faults: {
      ...commonFaults(() => [primary], pending.later),
      "is killed, with what no replica had yet, and a replica takes over": async ({ at }) => {
        await pending.over();
        const old = primary;
        await old.kill();
        await takeOver(at);
        for (const proxy of proxies) lead(proxy);
        pending.later(FAULT_MS, async () => {
          await old.launch();
          await follow(old);
        });
      },
      "is killed and starts empty": async () => {
        await pending.over();
        await primary.kill();
        await primary.launch();
      },
      "serves on while a replica takes over": async ({ at }) => {
        await pending.over();
        const old = primary;
        await takeOver(at);
        tell(at >> 1, old);
      },
      "stands still while a replica takes over, and wakes": async ({ at }) => {
        await pending.over();
        const old = primary;
        old.signal("SIGSTOP");
        await takeOver(at);
        pending.later(FAULT_MS, async () => old.signal("SIGCONT"));
        tell(at >> 1, old);
      },
      // The one that takes over follows the late one until then: so the old primary was never seen with another
      // than that, and is believed, without it, for as long as the last proof holds.
      "has a replica that follows late": async ({ at }) => {
        await arrangement.mend();
        const next = primary;
        await next.kill();
        await takeOver(at);
        const old = primary;
        const late = replicas().find((server) => server !== next)!;
        for (const proxy of proxies) lead(proxy);
        await next.launch();
        await replicaOf(next, "127.0.0.1", String(late.port));
        const early = proxies[(at >> 1) % proxies.length]!;
        pending.later(2 * FAULT_MS, async () => {
          await untilCopied(next);
          await replicaOf(next, "NO", "ONE");
          primary = next;
          lead(early);
          await pause(LATE_MS);
          await follow(late);
          await pause(4 * FAULT_MS);
          for (const proxy of proxies) if (proxy !== early) lead(proxy);
          await follow(old);
        });
      },
      "loses a replica": async ({ at }) => {
        await pending.over();
        const replica = replicas()[at % 2]!;
        await replica.kill();
        pending.later(FAULT_MS, async () => {
          await replica.launch();
          await follow(replica);
        });
      },
      "has a replica that stands still": async ({ at }) => {
        const replica = replicas()[at % 2]!;
        replica.signal("SIGSTOP");
        pending.later(2 * FAULT_MS, async () => replica.signal("SIGCONT"));
      },
      "hears nothing of one sidecar": onOne((proxy) => proxy.set({ toServer: "held" })),
      "is not heard by one sidecar": onOne((proxy) => proxy.set({ fromServer: "held" })),
      "is far from one sidecar": onOne((proxy, { at }) =>
        proxy.set({ toServer: at % 50, fromServer: (at >> 3) % 150 }),
      ),
      "loses its connections": async () => {
        for (const proxy of proxies) proxy.drop();
      },
    },
    async mend() {
      await pending.over();
      for (const proxy of proxies) proxy.set({});
      await eventually(async () => {
        const info = await primary.command<string>("INFO", "replication");
        if (info.split("state=online").length - 1 < replicas().length) {
          const all = servers.map((server) => server.command<string>("INFO", "replication"));
          throw new Error(`replicas are missing:\n${(await Promise.all(all)).join("\n")}`);
        }
      });
    },
    stop: () =>
      pending.end(async () => {
        for (const proxy of proxies) await proxy.stop();
        for (const server of servers) await server.stop();
      }),
  };
  for (const replica of replicas()) await follow(replica);
  await arrangement.mend();
  return arrangement;
}

/** Longer than proofs live in a soak, by what it takes a sidecar to connect. */
const LATE_MS = 6 * FAULT_MS;

/** A primary with two replicas, and three Sentinels that choose another when it is gone. */
export async function arrangeSentinel(): Promise<Arrangement> {
  const { servers: all, primary: findPrimary, stop } = await startSentinel();
  const [servers, sentinels] = [all.slice(0, 3), all.slice(3)];
  const pending = new Pending();
  const target = targetOf(
    "sentinel",
    sentinels.map(({ port }) => port),
  );
  let primary = await findPrimary();
  const replica = (at: number) => servers.filter((server) => server !== primary)[at % 2]!;
  /** The one that the Sentinels name may itself follow another: they choose none of replicas that have lost it too long ago. */
  async function help(): Promise<void> {
    for (const server of servers) {
      const of = server === primary ? ["NO", "ONE"] : ["127.0.0.1", String(primary.port)];
      await server.command("REPLICAOF", ...of).catch(() => undefined);
    }
  }
  return {
    connect: () => new PrimaryLink(target, clock, QUIET),
    replicasMin: 1,
    command: async (_key, ...args) => (await findPrimary()).command(...args),
    faults: {
      ...commonFaults(() => [primary], pending.later),
      "is killed, and back before another is chosen or after": async ({ at }) => {
        primary = await findPrimary();
        const killed = primary;
        await killed.kill();
        pending.later(at % 2 === 0 ? FAULT_MS : CHOSEN_MS, () => killed.launch());
      },
      "stands still until another is chosen, and wakes": async () => {
        primary = await findPrimary();
        const still = primary;
        still.signal("SIGSTOP");
        pending.later(CHOSEN_MS, async () => still.signal("SIGCONT"));
      },
      "is relieved by another": async ({ at }) => {
        // Refused while one is being chosen already.
        await sentinels[at % 3]!.command("SENTINEL", "FAILOVER", "primary").catch(() => undefined);
      },
      "loses a replica": async ({ at }) => {
        const lost = replica(at);
        await lost.kill();
        pending.later(FAULT_MS, () => lost.launch());
      },
      "has a Sentinel that stands still": async ({ at }) => {
        const still = sentinels[at % 3]!;
        still.signal("SIGSTOP");
        pending.later(SENTINEL_STILL_MS, async () => still.signal("SIGCONT"));
      },
    },
    async mend() {
      await pending.over();
      // The Sentinels take their time to set right a server that came back; after too much had befallen them
      // at once they now and then never do, and whoever runs them must.
      const helpAtMs = clock() + SET_RIGHT_MS;
      await vi.waitFor(
        async () => {
          primary = await findPrimary();
          if (clock() > helpAtMs) await help();
          for (const sentinel of sentinels) {
            const [, port] = await sentinel.command<string[]>(
              "SENTINEL",
              "GET-MASTER-ADDR-BY-NAME",
              "primary",
            );
            expect(Number(port)).toBe(primary.port);
          }
          const info = await primary.command<string>("INFO", "replication");
          expect(info.split("state=online")).toHaveLength(3);
        },
        { timeout: 100_000, interval: 100 },
      );
    },
    stop: () => pending.end(stop),
  };
}

/** Longer than Sentinels take to set servers right. */
const SET_RIGHT_MS = 40_000;
/** Longer than the Sentinels take to choose another primary. */
const CHOSEN_MS = 4000;
/** Shorter than what makes a Sentinel mistrust its clock, and do nothing for half a minute. */
const SENTINEL_STILL_MS = 1500;

/** A Cluster of three primaries with a replica each. */
export async function arrangeCluster(): Promise<Arrangement> {
  const { servers, command, stop } = await startCluster();
  const pending = new Pending();
  const target = targetOf(
    "cluster",
    servers.map(({ port }) => port),
  );

  /** The pairs of primary and replica, as those see it that are there. */
  async function pairs(): Promise<[primary: RedisProcess, replica: RedisProcess][]> {
    const roles = await Promise.all(
      servers.map((server) => server.command<[string, unknown, string | number]>("ROLE")),
    );
    return servers.flatMap((replica, at): [RedisProcess, RedisProcess][] => {
      const [role, , primaryPort] = roles[at]!;
      const primary = servers.find(({ port }) => role === "slave" && port === primaryPort);
      return primary === undefined ? [] : [[primary, replica]];
    });
  }
  let primaries: readonly RedisProcess[] = [];
  async function settled(): Promise<void> {
    await pending.over();
    await eventually(async () => {
      const found = await pairs();
      expect(found).toHaveLength(3);
      primaries = found.map(([primary]) => primary);
      for (const server of servers) {
        expect(await server.command("CLUSTER", "INFO")).toContain("cluster_state:ok");
        expect((await server.command<string>("CLUSTER", "NODES")).match(/fail|handshake/g)).toBeNull();
      }
      for (const primary of primaries) {
        expect(await primary.command("INFO", "replication")).toContain("state=online");
      }
    });
  }
  const pair = async (at: number) => {
    await settled();
    return (await pairs())[at % 3]!;
  };
  /** By force. A replica that is still loading what it was sent cannot yet. */
  const takeOver = (replica: RedisProcess) =>
    eventually(() => replica.command("CLUSTER", "FAILOVER", "TAKEOVER"));
  const slotOf = (at: number) =>
    servers[0]!.command<number>("CLUSTER", "KEYSLOT", `{${at % 2 === 0 ? ALPHA : BETA}}`);

  await settled();
  return {
    connect: () => new ClusterLink(target, clock, QUIET),
    // None succeeds before all are well.
    replicasMin: 0,
    command,
    faults: {
      ...commonFaults(() => primaries, pending.later),
      "moves a slot": async ({ at }) => {
        await settled();
        const slot = await slotOf(at);
        const { from, to } = await ownersOf(servers, slot);
        let goOn: () => void = () => {};
        const isGoingOn = new Promise<void>((resolve) => {
          goOn = resolve;
        });
        await new Promise<void>((halfway, failed) => {
          const move = moveSlot(slot, from, to, async () => {
            halfway();
            await isGoingOn;
          });
          move.catch(failed);
          pending.later(FAULT_MS, () => {
            goOn();
            return move;
          });
        });
      },
      "hands a primary's slots to its replica": async ({ at }) => {
        const [, replica] = await pair(at);
        // One that follows anew, and is still loading, cannot.
        await replica.command("CLUSTER", "FAILOVER").catch((refused: unknown) => {
          if (!String(refused).includes("LOADING")) throw refused;
        });
      },
      "has a primary that stands still while its replica takes over, and wakes": async ({ at }) => {
        const [primary, replica] = await pair(at);
        primary.signal("SIGSTOP");
        pending.later(2 * FAULT_MS, async () => primary.signal("SIGCONT"));
        await takeOver(replica);
      },
      "has a primary that is killed, and its replica takes over": async ({ at }) => {
        const [primary, replica] = await pair(at);
        await primary.kill();
        pending.later(2 * FAULT_MS, () => primary.launch());
        await takeOver(replica);
      },
    },
    mend: settled,
    stop: () => pending.end(stop),
  };
}
