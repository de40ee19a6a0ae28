import type { Registry } from "prom-client";
import type { Backends } from "./compose-backends.js";
import type { Config } from "./config/options.js";
import type { EventStore } from "./core/model/store.js";
import type { Health } from "./probes/health.js";
import type { GrpcServer } from "./rpc/grpc-server.js";
import type { LastChanges } from "./status/last-changes.js";
import { Members } from "./status/members.js";
import { createStatusPages, type StatusPages } from "./status/pages.js";
import { Sampler } from "./status/sampler.js";
import { readCallCounts } from "./telemetry/call-counts.js";
import type { Logger } from "./telemetry/logger.js";

export interface StatusParts {
  readonly registry: Registry;
  readonly store: EventStore;
  readonly rpc: GrpcServer;
  readonly backends: Backends;
  readonly health: Health;
  readonly lastChanges: LastChanges;
  readonly logger: Logger;
  readonly version: string;
  readonly nodeVersion: string;
  readonly clock: () => number;
  readonly statusIntervalMs?: number;
}

export interface Status {
  readonly pages: StatusPages;
  stop(): void;
}

/** Makes the status page; without an HTTP port nothing is sampled. */
export function openStatus(config: Config, parts: StatusParts): Status {
  const { registry, store, rpc, backends, health, logger, version, nodeVersion, clock, statusIntervalMs } =
    parts;
  const sampler = new Sampler({
    sources: {
      version,
      nodeVersion,
      store,
      subscriptions: rpc.subscriptions,
      calls: () => readCallCounts(registry, EVENT_CACHE_SERVICE),
      usage: () => rpc.usage(),
      isReady: () => health.ready,
      log: backends.invalidationLog,
      tier: backends.tier,
      lastChanges: () => parts.lastChanges.list(),
      limits: config,
    },
    clock,
    onError: (err) => logger.error("the figures of the status page could not be read", { err }),
    ...(statusIntervalMs !== undefined && { intervalMs: statusIntervalMs }),
  });
  const source = backends.invalidationLog.members;
  const members = new Members({
    source,
    isShared: config.log !== "memory",
    clock,
    maxAgeMs: sampler.intervalMs,
  });
  if (config.http !== "off") sampler.start();
  return { pages: createStatusPages(sampler, members), stop: () => sampler.stop() };
}

const EVENT_CACHE_SERVICE = "splitcache.v1.EventCacheService";
