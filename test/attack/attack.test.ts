import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildProgram, type Program } from "../support/program/build-program.js";
import { runAttack } from "./attack.js";

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program.remove());

it("answers an attack of valid and invalid calls without a fault, and is then as it was before", async () => {
  const seed = process.env["SPLITCACHE_ATTACK_SEED"] ?? randomBytes(4).toString("hex");
  const main = join(program.dist, "main.js");
  const result = await runAttack({ main, seed, callsMax: 100_000, secondsMax: 6, isShort: true });
  expect({ seed, faults: result.faults }).toEqual({ seed, faults: [] });
  expect(result.replies).toBeGreaterThan(0);
  expect(result.honestRounds).toBeGreaterThan(1);
}, 120_000);
