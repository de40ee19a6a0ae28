import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Program } from "../build-program.js";
import { PostgresServer } from "../postgres/postgres-server.js";
import { RedisProcess } from "../redis/processes.js";
import { SidecarProcess } from "./sidecar-process.js";

export const SIDECARS = 3;

/** Sidecars over one PostgreSQL, with or without a tier in Redis. */
export class Cluster {
  readonly sidecars: readonly SidecarProcess[];
  readonly redis: RedisProcess | undefined;
  /** The primary. */
  postgres: PostgresServer;

  readonly #folder: string;

  private constructor(
    sidecars: readonly SidecarProcess[],
    postgres: PostgresServer,
    redis: RedisProcess | undefined,
    folder: string,
  ) {
    this.sidecars = sidecars;
    this.postgres = postgres;
    this.redis = redis;
    this.#folder = folder;
  }

  static async start(program: Program, { hasTier }: { readonly hasTier: boolean }): Promise<Cluster> {
    const postgres = await PostgresServer.start({ fsync: "off" });
    const redis = hasTier ? await RedisProcess.start() : undefined;
    const folder = await mkdtemp(join(tmpdir(), "splitcache-soak-"));
    const keyFile = join(folder, "tier-key");
    await writeFile(keyFile, "a secret of tests that is long enough");
    const tier = redis && ["--tier", `redis://127.0.0.1:${redis.port}`, "--tier-key-file", keyFile];
    const sidecars: SidecarProcess[] = [];
    for (let n = 0; n < SIDECARS; n++) {
      sidecars.push(await SidecarProcess.start(program, postgres.port, tier ?? []));
    }
    return new Cluster(sidecars, postgres, redis, folder);
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
  }

  async stop(): Promise<void> {
    for (const sidecar of this.sidecars) await sidecar.stop();
    await this.redis?.stop();
    await this.postgres.stop();
    await rm(this.#folder, { recursive: true });
  }
}
