import type { Registry } from "prom-client";
import type { MetricsSource } from "../probes/http.js";
import { familyLines, type MetricFamily } from "./metric-families.js";
import { TimeSlicer } from "./time-slicer.js";

export interface ScrapeSources {
  /** The metrics that prom-client keeps: metrics of the process, and histograms. */
  readonly registry: Registry;
  /** Read at each scrape: families may be added after the start. */
  readonly families: readonly MetricFamily[];
  /** Reads all homeservers; called before the families are collected. */
  readonly prepare: (slicer: TimeSlicer) => Promise<void>;
  readonly newSlicer?: () => TimeSlicer;
}

/**
 * Writes the text of /metrics. One scrape runs at a time, and requests that arrive meanwhile share its
 * result. The work is done in slices, so that calls do not wait for it.
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

async function scrape({ registry, families, prepare, newSlicer }: ScrapeSources): Promise<Buffer> {
  const slicer = newSlicer?.() ?? new TimeSlicer();
  await prepare(slicer);
  const lines: string[] = [];
  for (const { name } of registry.getMetricsAsArray()) {
    lines.push(await registry.getSingleMetricAsString(name), "");
    if (slicer.isDue) await slicer.pause();
  }
  for (const family of families) {
    for (const line of familyLines(family)) {
      lines.push(line);
      if (lines.length % LINES_PER_CHECK === 0 && slicer.isDue) await slicer.pause();
    }
    lines.push("");
  }
  return encode(lines, slicer);
}

/** Joins and encodes the lines in pieces: ten thousand homeservers have megabytes of lines. */
async function encode(lines: readonly string[], slicer: TimeSlicer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let from = 0; from < lines.length; from += LINES_PER_PIECE) {
    pieces.push(Buffer.from(`${lines.slice(from, from + LINES_PER_PIECE).join("\n")}\n`));
    if (slicer.isDue) await slicer.pause();
  }
  return Buffer.concat(pieces);
}

const LINES_PER_CHECK = 64;
const LINES_PER_PIECE = 1024;
