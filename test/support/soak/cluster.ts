import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PostgresServer } from "../postgres/postgres-server.js";
import type { Program } from "../program/build-program.js";
import { LinkProxy } from "../redis/link-proxy.js";
import { RedisProcess } from "../redis/processes.js";
import { SidecarProcess } from "./sidecar-process.js";

export const SIDECARS = 3;

/** Write-ahead log is kept short, so that the disk holds a snapshot besides. */
const POSTGRES = { fsync: "off", max_wal_size: "48MB", min_wal_size: "32MB" };
const DISK_MB = 384;

/** Sidecars over one PostgreSQL, with or without a tier in Redis. */
export class Cluster {
  readonly sidecars: readonly SidecarProcess[];
  readonly tier: TierServer | undefined;
  /** The primary. */
  postgres: PostgresServer;

  readonly #folder: string;

  private constructor(
    sidecars: readonly SidecarProcess[],
    postgres: PostgresServer,
    tier: TierServer | undefined,
    folder: string,
  ) {
    this.sidecars = sidecars;
    this.postgres = postgres;
    this.tier = tier;
    this.#folder = folder;
  }

  static async start(program: Program, { hasTier }: { readonly hasTier: boolean }): Promise<Cluster> {
    const postgres = await PostgresServer.start(POSTGRES, { diskMb: DISK_MB });
    const tier = hasTier ? await TierServer.start() : undefined;
    const folder = await mkdtemp(join(tmpdir(), "splitcache-soak-"));
    const keyFile = join(folder, "tier-key");
    await writeFile(keyFile, "a secret of tests that is long enough");
    const tierArgs = tier && ["--tier", `redis://127.0.0.1:${tier.link.port}`, "--tier-key-file", keyFile];
    const sidecars: SidecarProcess[] = [];
    for (let n = 0; n < SIDECARS; n++) {
      sidecars.push(await SidecarProcess.start(program, postgres.port, tierArgs ?? []));
    }
    return new Cluster(sidecars, postgres, tier, folder);
  }

  /** A standby takes over from the primary, which is lost. */
  async failOver(standby: PostgresServer): Promise<void> {
    const old = this.postgres;
    await old.halt("SIGQUIT");
    await standby.promote();
    this.postgres = standby;
    for (const { link } of this.sidecars) link.lead(standby.port, { drops: true });
    await old.stop();
  }

  /** Ends what holds something up. What was restarted comes back by itself. */
  mend(): void {
    for (const { link } of this.sidecars) link.set({});
    this.tier?.link.set({});
  }

  async stop(): Promise<void> {
    for (const sidecar of this.sidecars) await sidecar.stop();
    await this.tier?.stop();
    await this.postgres.stop();
    await rm(this.#folder, { recursive: true });
  }
}

/** A tier in Redis, at one address whichever server has it. */
export class TierServer {
  readonly link: LinkProxy;
  redis: RedisProcess;

  private constructor(link: LinkProxy, redis: RedisProcess) {
    this.link = link;
    this.redis = redis;
  }

  static async start(): Promise<TierServer> {
    const redis = await RedisProcess.start();
    return new TierServer(await LinkProxy.start(redis.port), redis);
  }

  /** A replica takes over, with what it has of the primary, which is lost. */
  async failOver(replica: RedisProcess): Promise<void> {
    const old = this.redis;
    await replica.command("REPLICAOF", "NO", "ONE");
    this.redis = replica;
    this.link.lead(replica.port, { drops: true });
    await old.stop();
  }

  async stop(): Promise<void> {
    await this.link.stop();
    await this.redis.stop();
  }
}
