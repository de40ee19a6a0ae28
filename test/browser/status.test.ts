import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseMetrics } from "../../src/cli/io/metrics-text.js";
import {
  type EventCacheServiceClient,
  GetEventsRequest,
} from "../../src/gen/splitcache/v1/event_cache_service.js";
import type { StatusFigures } from "../../src/status/figures.js";
import { eventually } from "../support/eventually.js";
import { CHROMIUM } from "../support/program/chromium.js";
import { callUnary } from "../support/server/admin-client.js";
import { startTestServer, type TestServer } from "../support/server/start-server.js";

/** The status page as a real Chromium shows it. */

/** A server name may be any text: this one must be shown, not run. */
const HOSTILE = `<img src=x onerror="alert(1)">&amp;'"`;
/** For people who want to see what the tests saw. */
const SCREENSHOTS = process.env["STATUS_SCREENSHOTS"];

describe.skipIf(CHROMIUM === undefined)("the status page", () => {
  let browser: Browser;
  let server: TestServer;
  let client: EventCacheServiceClient;
  /** What no page may cause: messages on the console, requests to another origin, failed requests. */
  let complaints: string[];
  const pages: Page[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox"] });
  });
  afterAll(() => browser.close());

  beforeEach(async () => {
    complaints = [];
    server = await startTestServer({}, { statusIntervalMs: 200 });
    client = server.newClient();
  });
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.context().close();
    await server.stop();
    expect(complaints).toEqual([]);
  });

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    pages.push(page);
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("dialog", (dialog) => complaints.push(dialog.message()));
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== server.httpUrl) complaints.push(request.url());
    });
    page.on("response", (response) => {
      if (!response.ok()) complaints.push(`${response.status()} ${response.url()}`);
    });
    await page.goto(server.httpUrl);
    return page;
  }

  function shownValue(page: Page, label: string): Promise<string | null> {
    return figure(page, label).locator(".value").textContent();
  }

  /** The first cells of each row of the table in a section. */
  async function rowsOf(page: Page, title: string): Promise<string[][]> {
    const section = page.locator("section", {
      has: page.getByRole("heading", { name: title, exact: true, level: 2 }),
    });
    return (await section.locator("tbody tr").allInnerTexts()).map((row) => row.split("\t").slice(0, 5));
  }

  function figure(page: Page, label: string) {
    return page.locator("article", { has: page.getByRole("heading", { name: label, exact: true }) });
  }

  async function read(homeserver: string, eventIds: string[]) {
    return callUnary(client, client.getEvents, GetEventsRequest.create({ homeserver, eventIds }));
  }

  async function put(homeserver: string, eventId: string): Promise<void> {
    const { position: asOf } = await read(homeserver, []);
    const event = {
      eventId,
      roomId: "!room",
      roomVersion: "10",
      body: Buffer.from('{"content":{}}'),
      rejected: false,
      rejectedReason: "",
      redaction: undefined,
      internalMetadata: Buffer.alloc(0),
    };
    await callUnary(client, client.putEvent, { homeserver, event, asOf });
  }

  /** Three hits, one miss, two invalidations and a purge of one homeserver; one read of another; one subscriber. */
  async function drive(): Promise<void> {
    const homeserver = "example.org";
    client
      .subscribe({ homeserver, subscriber: "<b>worker</b>", resumeAfter: undefined })
      .on("error", () => {});
    await put(homeserver, "$one");
    for (let times = 0; times < 3; times += 1) await read(homeserver, ["$one"]);
    await read(homeserver, ["$absent"]);
    const change = { homeserver, roomId: "!room", eventIds: ["$one"] };
    await callUnary(client, client.invalidateEvents, change);
    await callUnary(client, client.invalidateEvents, change);
    await callUnary(client, client.purgeRoom, { homeserver, roomId: "!room" });
    await read(HOSTILE, []);
  }

  async function readBoth() {
    const metrics = parseMetrics(await (await fetch(`${server.httpUrl}/metrics`)).text());
    const { figures } = (await (await fetch(`${server.httpUrl}/status.json`)).json()) as {
      figures: StatusFigures;
    };
    const samples = metrics.map(({ name, labels, value }) => {
      return [`${name} ${Array.from(labels, (label) => label.join("=")).join(" ")}`, value];
    });
    return { figures, samples: Object.fromEntries(samples) };
  }

  async function screenshot(page: Page, name: string): Promise<void> {
    if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true });
  }

  it("shows what the sidecar did, and refreshes by itself", async () => {
    const page = await open();
    expect(await shownValue(page, "Hit rate")).toBe("–");
    await drive();
    await eventually(async () => expect(await shownValue(page, "Hit rate")).toBe("75.0 %"));
    await eventually(async () => expect(await shownValue(page, "Invalidated")).toBe("2"));
    await eventually(async () => expect(await shownValue(page, "Room purged")).toBe("1"));
    expect(await figure(page, "Hit rate").textContent()).toContain("3 hits, 1 misses");
    expect(await shownValue(page, "Latency, p50 and p99")).toMatch(/^[\d.]+ (µs|ms), [\d.]+ (µs|ms)$/);
    expect(await shownValue(page, "Invalidation log")).toBe("up");
    await eventually(async () => expect(await shownValue(page, "Homeservers")).toBe("2"));
    expect(await shownValue(page, "Subscribers")).toBe("1");
    expect(await rowsOf(page, "Homeservers")).toEqual([
      ["example.org", "75.0 %", "3", "1", "3"],
      [HOSTILE, "–", "0", "0", "0"],
    ]);
    expect(await rowsOf(page, "Subscribers")).toEqual([
      ["example.org", "<b>worker</b>", "waiting for a change", "0"],
    ]);
    const changes = await rowsOf(page, "Changes, last minute");
    expect(changes.map(([, ...cells]) => cells)).toEqual([
      ["example.org", "Room purged", "1"],
      ["example.org", "Invalidated", "2"],
    ]);
    for (const [time = ""] of changes) expect(Date.now() - Date.parse(`${time}Z`)).toBeLessThan(60_000);
    expect(await page.textContent("body")).not.toMatch(/!room|\$one/);
    const drawn = await figure(page, "Hit rate").locator("path").getAttribute("d");
    expect(drawn).toMatch(/^M\d+ [\d.]+h0/);
    await screenshot(page, "light");
  });

  it("agrees with /metrics", async () => {
    await drive();
    const page = await open();
    await eventually(async () => expect(await shownValue(page, "Room purged")).toBe("1"));
    // The sweep goes on between the sample and the scrape.
    await eventually(async () => {
      const { samples, figures } = await readBoth();
      const { events, metadata } = figures.memory;
      expect(samples).toMatchObject({
        "splitcache_hits_total server_name=example.org": figures.total.hits,
        "splitcache_cache_bytes cache=events": events.bytes,
        "splitcache_cache_max_bytes cache=events": events.bytesMax,
        "splitcache_cache_entries cache=metadata": metadata.entries,
        "splitcache_changes_total server_name=example.org kind=invalidated":
          figures.total.changes.invalidated,
        "splitcache_homeservers ": figures.homeserverCount,
      });
    });
  });

  it("is readable without JavaScript", async () => {
    await drive();
    const page = await open({ javaScriptEnabled: false });
    await eventually(async () => {
      await page.reload();
      expect(await shownValue(page, "Hit rate")).toBe("75.0 %");
      expect(await figure(page, "Hit rate").locator("path").getAttribute("d")).toMatch(/^M/);
    });
    expect(await rowsOf(page, "Homeservers")).toContainEqual([HOSTILE, "–", "0", "0", "0"]);
  });

  it.each(["light", "dark"] as const)("fits a phone, %s", async (colorScheme) => {
    await drive();
    await read("a".repeat(255), []);
    const page = await open({ viewport: { width: 360, height: 740 }, colorScheme, isMobile: true });
    await eventually(async () => expect(await shownValue(page, "Homeservers")).toBe("3"));
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
    const back = String(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
    expect(Number(/\d+/.exec(back)) < 128).toBe(colorScheme === "dark");
    await screenshot(page, `phone-${colorScheme}`);
  });

  it("says that its figures are old when the sidecar does not answer", async () => {
    const page = await open();
    await page.route("**/status.json", (route) => route.abort());
    await eventually(async () =>
      expect(await page.locator("#stale").textContent()).toContain("the sidecar does not answer"),
    );
    // The browser itself reports each request that fails.
    await page.context().close();
    complaints = complaints.filter((text) => !text.includes("net::ERR_FAILED"));
  });

  it("is not shown inside another page", async () => {
    const page = await open();
    const framing = createServer((_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end(`<link rel="icon" href="data:,"><iframe src="${server.httpUrl}/"></iframe>`);
    }).listen(0, "127.0.0.1");
    await once(framing, "listening");
    await page.goto(`http://127.0.0.1:${(framing.address() as AddressInfo).port}/`);
    framing.close();
    const [, frame] = page.frames();
    await eventually(() => expect(frame?.url()).toContain("chrome-error:"));
    expect(await frame?.locator("h1", { hasText: "splitcache" }).count()).toBe(0);
    complaints = [];
  });
});
