import { randomBytes } from "node:crypto";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { CHROMIUM } from "../support/program/chromium.js";
import { useSecretFolders } from "../support/server/certificates.js";
import { startTestServer } from "../support/server/start-server.js";

const makeFolder = useSecretFolders();

describe.skipIf(CHROMIUM === undefined)("the status page, with an auth file", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox"] });
  });
  afterAll(() => browser.close());

  it("is for operators, who give their token as the password", async () => {
    const folder = await makeFolder();
    const token = randomBytes(32).toString("hex");
    await folder.write("token", token);
    const clients = [{ name: "o", role: "operator", token_files: ["token"] }];
    const authFile = await folder.write("auth.yaml", JSON.stringify({ clients }));
    const server = await startTestServer({ authFile }, { statusIntervalMs: 100 });
    const open = async (password: string) => {
      const context = await browser.newContext({ httpCredentials: { username: "me", password } });
      const page = await context.newPage();
      // What the page loads by itself must get through too.
      const replies: number[] = [];
      page.on("response", (response) => replies.push(response.status()));
      return { page, replies, reply: await page.goto(server.httpUrl) };
    };
    const refused = await open("wrong");
    expect(refused.reply?.status()).toBe(401);
    const { page, replies } = await open(token);
    expect(await page.locator("h1").textContent()).toContain("splitcache");
    // Style, script and icon, then figures again and again.
    await eventually(() => expect(replies.filter((code) => code === 200).length).toBeGreaterThan(5));
    expect(await page.locator("#stale").textContent()).toBe("");
    await browser.contexts().reduce((all, context) => all.then(() => context.close()), Promise.resolve());
    await server.stop();
  });
});
