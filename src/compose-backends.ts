import { randomBytes } from "node:crypto";
import { type Config, flagOf } from "./config/options.js";
import { ConfigError } from "./config/parse-config.js";
import { readPostgresFiles } from "./config/postgres-files.js";
import { formatPostgresUrl, parsePostgresUrl } from "./config/postgres-url.js";
import { formatRedisUrl } from "./config/redis-url.js";
import { readTierFiles } from "./config/tier-files.js";
import {
  EPOCH_BYTES,
  METADATA_TTL_MS_DEFAULT,
  METADATA_TTL_MS_WITH_SHARED_LOG,
} from "./core/model/limits.js";
import type { Epoch } from "./core/model/types.js";
import { createMemoryLog } from "./log/memory/memory-log.js";
import type { Log as InvalidationLog } from "./log/port.js";
import { createPostgresLog } from "./log/postgres/postgres-log.js";
import { WRITE_BACK_INTERVAL_MS } from "./store/shared-tier.js";
import { reportPostgresLog, reportTier } from "./telemetry/backend-reports.js";
import type { Logger } from "./telemetry/logger.js";
import type { Tier } from "./tier/port.js";
import { createRedisTier } from "./tier/redis/redis-tier.js";

/** The invalidation log and the tier of the store, with their settings. */
export interface Backends {
  readonly invalidationLog: InvalidationLog;
  readonly tier: Tier | undefined;
  readonly metadataTtlMs: number;
  readonly writeBackIntervalMs: number;
  /** For the start report, without secrets. */
  readonly logUrl: string;
  readonly tierUrl: string;
}

export interface BackendDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/**
 * Reads the files of log and tier and opens both. They connect in the background, so a
 * sidecar starts without them. Rejects with a ConfigError that names every invalid file.
 */
export async function openBackends(config: Config, deps: BackendDeps): Promise<Backends> {
  const settings = config.log === "memory" ? undefined : parsePostgresUrl(config.log, deps.env).settings;
  const passwordFile = { place: flagOf("logPasswordFile"), path: config.logPasswordFile };
  const postgres = settings && (await readPostgresFiles(settings, passwordFile));
  const tierFiles = config.tier === "none" ? undefined : await readTierFiles(config);
  const problems = [...(postgres?.problems ?? []), ...(tierFiles?.problems ?? [])];
  if (problems.length > 0) throw new ConfigError(problems);

  const ttlMs = settings === undefined ? METADATA_TTL_MS_DEFAULT : METADATA_TTL_MS_WITH_SHARED_LOG;
  return {
    invalidationLog:
      settings === undefined
        ? createMemoryLog(() => randomBytes(EPOCH_BYTES).toString("hex") as Epoch)
        : createPostgresLog({
            target: { ...settings, ...postgres!.secrets },
            schema: config.logSchema,
            events: reportPostgresLog(deps.logger),
          }),
    tier:
      config.tier === "none"
        ? undefined
        : createRedisTier({
            ...deps,
            target: { ...config.tier, ...tierFiles!.texts },
            keyPrefix: config.tierKeyPrefix,
            secret: Buffer.from(tierFiles!.texts.secret ?? ""),
            ttlMs: config.tierTtlMs,
            observer: reportTier(deps.logger),
          }),
    metadataTtlMs: config.metadataTtlMs ?? ttlMs,
    // Short enough that an entry in use does not expire in the tier.
    writeBackIntervalMs: Math.min(WRITE_BACK_INTERVAL_MS, config.tierTtlMs / 6),
    logUrl: settings === undefined ? "memory" : formatPostgresUrl(settings),
    tierUrl: config.tier === "none" ? "none" : formatRedisUrl(config.tier),
  };
}
