import { formatListenAddress, isLocal, type ListenAddress } from "../config/address.js";
import { EVENTS_SHARE_EIGHTHS, LOG_SHARE_EIGHTHS, METADATA_SHARE_EIGHTHS } from "../core/model/limits.js";
import type { Logger } from "./logger.js";

/** The facts about a started process that operators need. */
export interface StartReport {
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  readonly addresses: readonly ListenAddress[];
  readonly httpAddress: ListenAddress | undefined;
  readonly healthAddresses: readonly ListenAddress[];
  readonly adminAddresses: readonly ListenAddress[];
  /** The URLs of the invalidation log and of the tier, without secrets. */
  readonly logUrl: string;
  readonly tierUrl: string;
  readonly memoryBytes: number;
  readonly heapLimitBytes: number;
  readonly heapBytesMax: number;
  readonly security: SecurityReport;
  /** Limit of gRPC connections. */
  readonly connectionsMax: number;
}

/** What protects the listeners. */
export interface SecurityReport {
  readonly usesTls: boolean;
  /** Whether calls need credentials, or connections a client certificate. */
  readonly isAuthenticated: boolean;
}

/** Logs the start in one line, then a warning for each risk of the configuration. */
export function reportStart(logger: Logger, report: StartReport): void {
  const { version, nodeVersion, pid, memoryBytes, heapBytesMax, heapLimitBytes, httpAddress } = report;
  const share = (eighths: number) => Math.floor((memoryBytes * eighths) / 8);
  logger.info("splitcache serves", {
    version,
    nodeVersion,
    pid,
    listen: report.addresses.map(formatListenAddress),
    http: httpAddress === undefined ? "off" : formatListenAddress(httpAddress),
    healthListen: report.healthAddresses.map(formatListenAddress),
    adminListen: report.adminAddresses.map(formatListenAddress),
    tls: report.security.usesTls,
    authentication: report.security.isAuthenticated,
    log: report.logUrl,
    tier: report.tierUrl,
    memoryBytes,
    eventsBytes: share(EVENTS_SHARE_EIGHTHS),
    metadataBytes: share(METADATA_SHARE_EIGHTHS),
    logsBytes: share(LOG_SHARE_EIGHTHS),
    heapLimitBytes,
    heapBytesMax,
    connectionsMax: report.connectionsMax,
  });
  for (const address of report.addresses.filter((address) => !isLocal(address))) {
    warnOfListener(logger, address, report.security);
  }
  if (httpAddress !== undefined && !isLocal(httpAddress) && !report.security.isAuthenticated) {
    logger.warn("any client that can reach this listener can read the names of homeservers in the metrics", {
      http: formatListenAddress(httpAddress),
    });
  }
  const inHeapBytes = share(SMALL_EVENTS_HEAP_EIGHTHS);
  if (inHeapBytes > heapBytesMax) {
    const message =
      "with small events the heap fills before the memory budget is used, and entries are evicted earlier; raise the heap limit with node --max-old-space-size";
    logger.warn(message, { inHeapBytes, heapBytesMax });
  }
}

/** The approximate share of a full budget that is in the heap if bodies have about 1 KiB: keys, metadata and logs. */
const SMALL_EVENTS_HEAP_EIGHTHS = 5;

function warnOfListener(
  logger: Logger,
  address: ListenAddress,
  { isAuthenticated, usesTls }: SecurityReport,
): void {
  const listen = formatListenAddress(address);
  if (!isAuthenticated) {
    logger.warn(
      "this listener requires no credentials; any client that can reach it can read and purge everything",
      {
        listen,
      },
    );
  } else if (!usesTls) {
    logger.warn("tokens and events cross the network in cleartext: give --tls-cert-file", { listen });
  }
}
