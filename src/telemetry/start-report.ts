import { formatListenAddress, isLocal, type ListenAddress } from "../config/address.js";
import { EVENTS_SHARE_EIGHTHS, LOG_SHARE_EIGHTHS, METADATA_SHARE_EIGHTHS } from "../core/model/limits.js";
import type { Log } from "./log.js";

/** What operators want to know of a process that has started. */
export interface StartReport {
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  readonly addresses: readonly ListenAddress[];
  readonly httpAddress: ListenAddress | undefined;
  readonly healthAddresses: readonly ListenAddress[];
  readonly adminAddresses: readonly ListenAddress[];
  /** Where the invalidation logs are, and the tier. */
  readonly logUrl: string;
  readonly tierUrl: string;
  readonly memoryBytes: number;
  readonly heapLimitBytes: number;
  readonly heapBytesMax: number;
  /** Bound of gRPC connections. */
  readonly connectionsMax: number;
}

/** Logs the start in one line, then a warning for each thing that is better known now than later. */
export function reportStart(log: Log, report: StartReport): void {
  const { version, nodeVersion, pid, memoryBytes, heapBytesMax, heapLimitBytes, httpAddress } = report;
  const share = (eighths: number) => Math.floor((memoryBytes * eighths) / 8);
  log.info("splitcache serves", {
    version,
    nodeVersion,
    pid,
    listen: report.addresses.map(formatListenAddress),
    http: httpAddress === undefined ? "off" : formatListenAddress(httpAddress),
    healthListen: report.healthAddresses.map(formatListenAddress),
    adminListen: report.adminAddresses.map(formatListenAddress),
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
    log.warn("any client that reaches this listener can read and purge everything: it takes no credentials", {
      listen: formatListenAddress(address),
    });
  }
  if (httpAddress !== undefined && !isLocal(httpAddress)) {
    log.warn("any client that reaches this listener can read the names of the homeservers in its metrics", {
      http: formatListenAddress(httpAddress),
    });
  }
  const inHeapBytes = share(SMALL_EVENTS_HEAP_EIGHTHS);
  if (inHeapBytes > heapBytesMax) {
    const message =
      "with small events the memory budget cannot be used up: the heap fills first, and entries are evicted earlier; raise its limit by node --max-old-space-size";
    log.warn(message, { inHeapBytes, heapBytesMax });
  }
}

/** About what lies in the heap of a full budget where bodies have 1 KiB or so: keys, metadata and logs. */
const SMALL_EVENTS_HEAP_EIGHTHS = 5;
