import { ICON, SCRIPT, STYLE } from "./assets.js";
import { chartPaths } from "./charts.js";
import { pageHtml } from "./html.js";
import type { MemberList, Members } from "./members.js";
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
export function createStatusPages(
  sampler: Pick<Sampler, "latest" | "intervalMs">,
  members: Pick<Members, "list">,
): StatusPages {
  const { intervalMs } = sampler;
  const read = async (): Promise<View> => [await sampler.latest(), await members.list()];
  const html = oncePerView(read, (view) => pageHtml(reportOf(...view), intervalMs));
  const json = oncePerView(read, (view) => `${JSON.stringify(statusJson(view, intervalMs))}\n`);
  return new Map<string, () => StatusPage | Promise<StatusPage>>([
    ["/", async () => page(await html(), "text/html")],
    ["/status.json", async () => page(await json(), "application/json")],
    ["/status.css", () => page(Buffer.from(STYLE), "text/css")],
    ["/status.js", () => page(Buffer.from(SCRIPT), "text/javascript")],
    ["/status.svg", () => page(Buffer.from(ICON), "image/svg+xml")],
  ]);
}

type View = readonly [Snapshot, MemberList];

function statusJson(view: View, intervalMs: number) {
  const [{ figures }, { members }] = view;
  return { intervalMs, figures: { ...figures, members }, report: withPaths(reportOf(...view)) };
}

/** Adds the paths of each chart, so that the page's script has nothing to compute. */
function withPaths(report: Report) {
  const sections = report.sections.map((section) => ({
    ...section,
    figures: section.figures.map((figure) => ({ ...figure, paths: chartPaths(figure) })),
  }));
  return { ...report, sections };
}

function oncePerView(read: () => Promise<View>, write: (view: View) => string) {
  let made: { readonly of: View; readonly body: Buffer } | undefined;
  return async () => {
    const view = await read();
    const isMade = made?.of[0] === view[0] && made.of[1] === view[1];
    if (made === undefined || !isMade) made = { of: view, body: Buffer.from(write(view)) };
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
