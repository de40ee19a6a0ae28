import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasPostgres } from "../support/postgres/programs.js";
import { buildProgram, type Program } from "../support/program/build-program.js";
import { hasRedisServer } from "../support/redis/processes.js";
import { Cluster } from "../support/soak/cluster.js";
import { Soak } from "../support/soak/soak.js";

const minutes = process.env["SPLITCACHE_SOAK_MINUTES"];
const forMs = minutes === undefined ? 6000 : Number(minutes) * 60_000;
const seed = Number(process.env["SPLITCACHE_SOAK_SEED"] ?? Date.now() % 1_000_000);
const isHere = hasPostgres() && (await hasRedisServer());

describe.skipIf(!isHere)("three sidecars over one PostgreSQL log, under faults", () => {
  let program: Program;
  beforeAll(async () => {
    program = await buildProgram();
  }, 120_000);
  afterAll(() => program.remove());

  it.each([
    { what: "without a tier", hasTier: false },
    { what: "with a tier", hasTier: true },
  ])(
    "serve nothing outdated and leave no gap $what",
    async ({ what, hasTier }) => {
      const cluster = await Cluster.start(program, { hasTier });
      try {
        const figures = await new Soak(cluster, { forMs, seed }).run();
        console.info(`${what}, seed ${seed}:`, figures);
        expect(figures.hits).toBeGreaterThan(0);
        expect(figures.changes).toBeGreaterThan(0);
      } finally {
        await cluster.stop();
      }
    },
    forMs + 120_000,
  );
});
