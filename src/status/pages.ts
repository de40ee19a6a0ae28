import { ICON, SCRIPT, STYLE } from "./assets.js";
import { chartPaths } from "./charts.js";
import { pageHtml } from "./html.js";
import { reportOf } from "./report.js";
import type { Report } from "./report-shape.js";
import type { Sampler, Snapshot } from "./sampler.js";

/** A page, as the HTTP server answers it. */
export interface StatusPage {
  readonly body: Buffer;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The pages by their paths. */
export type StatusPages = ReadonlyMap<string, () => StatusPage | Promise<StatusPage>>;

/**
 * The page that shows the state of the sidecar, its resources, and the figures for machines. What they answer
 * is made once a sample, whatever the number of viewers.
 */
export function createStatusPages(sampler: Pick<Sampler, "latest" | "intervalMs">): StatusPages {
  const { intervalMs } = sampler;
  const html = oncePerSample(sampler, (snapshot) => pageHtml(reportOf(snapshot), intervalMs));
  const json = oncePerSample(sampler, (snapshot) => `${JSON.stringify(statusJson(snapshot, intervalMs))}\n`);
  return new Map<string, () => StatusPage | Promise<StatusPage>>([
    ["/", async () => page(await html(), "text/html")],
    ["/status.json", async () => page(await json(), "application/json")],
    ["/status.css", () => page(Buffer.from(STYLE), "text/css")],
    ["/status.js", () => page(Buffer.from(SCRIPT), "text/javascript")],
    ["/status.svg", () => page(Buffer.from(ICON), "image/svg+xml")],
  ]);
}

function statusJson(snapshot: Snapshot, intervalMs: number) {
  return { intervalMs, figures: snapshot.figures, report: withPaths(reportOf(snapshot)) };
}

/** Adds the paths of each chart, so that the page's script has nothing to compute. */
function withPaths(report: Report) {
  const sections = report.sections.map((section) => ({
    ...section,
    figures: section.figures.map((figure) => ({ ...figure, paths: chartPaths(figure) })),
  }));
  return { ...report, sections };
}

function oncePerSample(sampler: Pick<Sampler, "latest">, write: (snapshot: Snapshot) => string) {
  let made: { readonly of: Snapshot; readonly body: Buffer } | undefined;
  return async () => {
    const snapshot = await sampler.latest();
    if (made?.of !== snapshot) made = { of: snapshot, body: Buffer.from(write(snapshot)) };
    return made.body;
  };
}

function page(body: Buffer, type: string): StatusPage {
  return { body, contentType: `${type}; charset=utf-8`, headers: HEADERS };
}

/** Nothing from elsewhere, nothing inline, and no other site may show the page or read it. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};
