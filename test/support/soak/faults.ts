import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { PostgresServer } from "../postgres/postgres-server.js";
import type { Passage } from "../redis/link-proxy.js";
import type { Cluster } from "./cluster.js";
import { type Below, type Fault, longMs } from "./fault.js";
import { belowOf, pause } from "./random.js";
import type { SidecarProcess } from "./sidecar-process.js";
import { ofTier } from "./tier-faults.js";

const anySidecar = ({ sidecars }: Cluster, below: Below): SidecarProcess => sidecars[below(sidecars.length)]!;

const ofSidecars: Readonly<Record<string, Fault>> = {
  "a sidecar is killed": async (cluster, below) => {
    const one = anySidecar(cluster, below);
    await one.kill();
    await pause(below(1500));
    await one.launch();
  },
  "a sidecar stands still": async (cluster, below) => {
    const one = anySidecar(cluster, below);
    one.signal("SIGSTOP");
    await pause(longMs(below));
    one.signal("SIGCONT");
  },
};

/** The way between one sidecar and the database. */
const ofLinks: Readonly<Record<string, Fault>> = {
  "a link is cut": async (cluster, below) => anySidecar(cluster, below).link.drop(),
  "a link is held up": heldUp({ toServer: "held", fromServer: "held" }),
  "a link is held up towards the server": heldUp({ toServer: "held" }),
  "a link is held up from the server": heldUp({ fromServer: "held" }),
  "a link is slow": async (cluster, below) => {
    const { link } = anySidecar(cluster, below);
    link.set({ toServer: 1 + below(60), fromServer: 1 + below(200) });
    await pause(longMs(below));
    link.set({});
  },
  "a link loses the client unnoticed": async (cluster, below) =>
    anySidecar(cluster, below).link.loseClients(),
  "a statement arrives late": async (cluster, below) => {
    const { link } = anySidecar(cluster, below);
    const names = [
      "append\0",
      "leave\0",
      "enrol\0",
      "sweep-applied\0",
      "renew\0",
      "report",
      "expel\0",
      "poll\0",
    ];
    link.strand(names[below(names.length)]!);
    await pause(longMs(below));
    link.arrive();
  },
};

const ofPostgres: Readonly<Record<string, Fault>> = {
  "PostgreSQL crashes": async ({ postgres }) => {
    await postgres.crash();
    await untilItAnswers(postgres);
  },
  "PostgreSQL is restarted": ({ postgres }) => postgres.restart(),
  "PostgreSQL is lost for a while": async ({ postgres }, below) => {
    await postgres.halt("SIGQUIT");
    await pause(longMs(below));
    await postgres.launch();
  },
  "a standby is promoted": async (cluster, below) => {
    const standby = await cluster.postgres.standby();
    if (below(2) === 0) await standby.query("select pg_wal_replay_pause()");
    await pause(below(1500));
    await cluster.postgres.halt("SIGQUIT");
    await standby.query("select pg_wal_replay_resume()");
    await cluster.failOver(standby);
  },
  "a snapshot is restored": async ({ postgres }, below) => {
    await postgres.halt();
    await rm(join(postgres.folder, "snapshot"), { recursive: true, force: true });
    await postgres.saveSnapshot();
    await postgres.launch();
    await pause(2500 + below(2000));
    await postgres.halt(below(2) === 0 ? "SIGINT" : "SIGQUIT");
    await postgres.restoreSnapshot();
    await postgres.launch();
  },
  "heads are locked": locked("lock table splitcache.head in share mode"),
  "members are locked": locked("lock table splitcache.member in share mode"),
  "reports are locked": locked("lock table splitcache.applied in share mode"),
  "a transaction is long": locked(
    "set transaction isolation level repeatable read; select from splitcache.head",
  ),
  "tables are vacuumed": async ({ postgres }) => {
    for (const table of ["applied", "member", "head", "change"]) {
      await postgres.query(`vacuum full splitcache.${table}`);
    }
  },
};

/** Where its data lie on a disk of their own. */
const ofDisk: Readonly<Record<string, Fault>> = {
  "PostgreSQL has no disk space": async ({ postgres }, below) => {
    await postgres.disk?.fill();
    await pause(longMs(below));
    await postgres.disk?.free();
    // It ends if it cannot write its log, and then it cannot start either.
    await untilItAnswers(postgres);
  },
};

export interface FaultOptions {
  readonly seed: number;
  isOver(): boolean;
  note(what: string): void;
  /** Called when a fault is over. */
  count(name: string): void;
}

/** Injects faults into a cluster until the run ends: faults of one group follow each other, faults of two groups may overlap. */
export async function injectFaults(cluster: Cluster, options: FaultOptions): Promise<void> {
  const groups = [
    { faults: { ...ofSidecars, ...ofLinks, ...(cluster.tier && ofTier) }, pauseMs: 1500 },
    { faults: { ...ofPostgres, ...(cluster.postgres.disk && ofDisk) }, pauseMs: 8000 },
  ];
  await Promise.all(
    groups.map((group, at) => injectFaultsOf(cluster, group, belowOf(options.seed + at + 1), options)),
  );
}

async function injectFaultsOf(
  cluster: Cluster,
  { faults, pauseMs }: { readonly faults: Readonly<Record<string, Fault>>; readonly pauseMs: number },
  below: Below,
  { isOver, note, count }: FaultOptions,
): Promise<void> {
  const names = Object.keys(faults);
  for (let calm = 1; !isOver(); calm++) {
    // Now and then there is no fault for a while, so that there is something to lose.
    await pause(200 + below(calm % 4 === 0 ? 4 * pauseMs : pauseMs));
    const name = names[below(names.length)]!;
    note(name);
    await faults[name]!(cluster, below);
    note(`${name}: it is over`);
    count(name);
  }
}

function heldUp(passages: { readonly toServer?: Passage; readonly fromServer?: Passage }): Fault {
  return async (cluster, below) => {
    const { link } = anySidecar(cluster, below);
    link.set(passages);
    await pause(longMs(below));
    link.set({});
  };
}

function locked(statement: string): Fault {
  return async ({ postgres }, below) => {
    const client = await postgres.connect();
    try {
      await client.query(`begin; ${statement}`);
      await pause(longMs(below));
    } finally {
      await client.end();
    }
  };
}

async function untilItAnswers(postgres: PostgresServer): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    try {
      if (postgres.hasEnded) await postgres.launch();
      return void (await postgres.query("select 1"));
    } catch {
      await pause(25);
    }
  }
}
