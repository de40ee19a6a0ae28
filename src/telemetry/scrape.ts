import type { Registry } from "prom-client";
import type { MetricsSource } from "../probes/http.js";
import { familyLines, type MetricFamily } from "./metric-families.js";
import { Pace } from "./pace.js";

export interface ScrapeSources {
  /** What prom-client keeps: metrics of the process, and histograms. */
  readonly registry: Registry;
  /** Looked at in each scrape: some may come later. */
  readonly families: readonly MetricFamily[];
  /** Reads what the families need of many homeservers, before any of them is asked. */
  readonly prepare: (pace: Pace) => Promise<void>;
  readonly newPace?: () => Pace;
}

/**
 * Makes the text of /metrics. One scrape at a time, which all share that ask meanwhile; it is made in
 * slices, so that calls do not wait for it.
 */
export function createScrape(sources: ScrapeSources): MetricsSource {
  let running: Promise<Buffer> | undefined;
  return {
    contentType: sources.registry.contentType,
    metrics: () => {
      running ??= scrape(sources).finally(() => {
        running = undefined;
      });
      return running;
    },
  };
}

async function scrape({ registry, families, prepare, newPace }: ScrapeSources): Promise<Buffer> {
  const pace = newPace?.() ?? new Pace();
  await prepare(pace);
  const lines: string[] = [];
  for (const { name } of registry.getMetricsAsArray()) {
    lines.push(await registry.getSingleMetricAsString(name), "");
    if (pace.isDue) await pace.pause();
  }
  for (const family of families) {
    for (const line of familyLines(family)) {
      lines.push(line);
      if (lines.length % LINES_BETWEEN_LOOKS === 0 && pace.isDue) await pace.pause();
    }
    lines.push("");
  }
  return encode(lines, pace);
}

/** Joins and encodes piece by piece: of ten thousand homeservers there are megabytes. */
async function encode(lines: readonly string[], pace: Pace): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let from = 0; from < lines.length; from += LINES_A_PIECE) {
    pieces.push(Buffer.from(`${lines.slice(from, from + LINES_A_PIECE).join("\n")}\n`));
    if (pace.isDue) await pace.pause();
  }
  return Buffer.concat(pieces);
}

const LINES_BETWEEN_LOOKS = 64;
const LINES_A_PIECE = 1024;
