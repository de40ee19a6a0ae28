import type fc from "fast-check";

/**
 * How much a model test does, from the environment: SPLITCACHE_MODEL_RUNS times
 * as many runs, or as many as SPLITCACHE_MODEL_MINUTES allow, SPLITCACHE_MODEL_SEED and SPLITCACHE_MODEL_PATH to begin where a
 * failure was, SPLITCACHE_MODEL_REPLAY with its replayPath.
 */
export function runSettings(runsByDefault: number): RunSettings {
  const { env } = process;
  const seed = env["SPLITCACHE_MODEL_SEED"];
  const path = env["SPLITCACHE_MODEL_PATH"];
  const replayPath = env["SPLITCACHE_MODEL_REPLAY"];
  const factor = Number(env["SPLITCACHE_MODEL_RUNS"] ?? 1);
  const minutes = env["SPLITCACHE_MODEL_MINUTES"];
  const limitMs = minutes === undefined ? undefined : Number(minutes) * 60_000;
  return {
    timeoutMs: TIMEOUT_MS * Math.max(1, factor) + (limitMs ?? 0),
    soakMs: limitMs ?? SOAK_MS * factor,
    runs: {
      numRuns: limitMs === undefined ? Math.ceil(runsByDefault * factor) : Number.MAX_SAFE_INTEGER,
      // Reports the shortest failing run found so far, instead of a search that took too long.
      interruptAfterTimeLimit: limitMs ?? STORIES_MS * Math.max(1, factor),
      ...(seed !== undefined && { seed: Number(seed) }),
      ...(path !== undefined && { path }),
    },
    commands: { maxCommands: COMMANDS_MAX, size: "max", ...(replayPath !== undefined && { replayPath }) },
  };
}

export interface RunSettings {
  readonly runs: Pick<fc.Parameters<never>, "numRuns" | "interruptAfterTimeLimit" | "seed" | "path">;
  readonly commands: Exclude<Parameters<typeof fc.commands>[1], undefined>;
  /** How long a test lasts that runs for a time. */
  readonly soakMs: number;
  /** For all runs of a test together. */
  readonly timeoutMs: number;
}

/** Long enough for what is of use to meet, short enough to be read when it fails. */
const COMMANDS_MAX = 60;
const SOAK_MS = 3000;
/** Many times what a test takes on a machine of its own; where it is slower there are fewer stories. */
const STORIES_MS = 80_000;
const TIMEOUT_MS = 120_000;
