import { type Browser, chromium } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { StatusFigures } from "../../src/status/figures.js";
import type { MemberView } from "../../src/status/sources.js";
import { runCli } from "../support/cli/run-cli.js";
import { eventually } from "../support/eventually.js";
import { PostgresServer } from "../support/postgres/postgres-server.js";
import { hasPostgres } from "../support/postgres/programs.js";
import { CHROMIUM } from "../support/program/chromium.js";
import { callUnary } from "../support/server/admin-client.js";
import { startTestServer, type TestServer } from "../support/server/start-server.js";

const HOMESERVER = "example.org";

describe.skipIf(CHROMIUM === undefined || !hasPostgres())("two sidecars over one PostgreSQL log", () => {
  let browser: Browser;
  let postgres: PostgresServer;
  const servers: TestServer[] = [];
  beforeAll(async () => {
    postgres = await PostgresServer.start();
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox"] });
  });
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });
  afterAll(async () => {
    await browser.close();
    await postgres.stop();
  });

  async function start(): Promise<TestServer> {
    const log = `postgres://postgres@127.0.0.1:${postgres.port}/postgres`;
    const server = await startTestServer({ log }, { statusIntervalMs: 200 });
    servers.push(server);
    const client = server.newClient();
    const change = { homeserver: HOMESERVER, roomId: "", eventIds: ["$1"] };
    await eventually(() => callUnary(client, client.invalidateEvents, change));
    return server;
  }

  async function figuresOf({ httpUrl }: TestServer) {
    const reply = await (await fetch(`${httpUrl}/status.json`)).json();
    return (reply as { figures: StatusFigures & { members: MemberView[] } }).figures;
  }

  it("each show both members, which is theirs, whose lease has expired, and changes made at the other", async () => {
    const [first, second] = [await start(), await start()];
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(first.httpUrl);
    const section = (title: string) =>
      page.locator("section", {
        has: page.getByRole("heading", { name: title, exact: true, level: 2 }),
      });
    const rows = async (title: string) =>
      (await section(title).locator("tbody tr").allInnerTexts()).map((row) => row.split("\t"));
    const found = await postgres.query("select id from splitcache.member order by id");
    const ids = found.map((row) => (row as { id: string }).id);
    expect(ids).toHaveLength(2);
    await eventually(async () =>
      expect(
        (await rows("Log")).map(([id = "", state]) => [id.replace(" (this sidecar)", ""), state]),
      ).toEqual(ids.map((id) => [id, "live"])),
    );
    expect((await rows("Log")).filter(([id]) => id?.endsWith(" (this sidecar)"))).toHaveLength(1);
    const own = async (server: TestServer) =>
      (await figuresOf(server)).members.find(({ isSelf }) => isSelf)?.id;
    await eventually(async () => expect([await own(first), await own(second)].sort()).toEqual(ids));
    // The second change was made at the other sidecar.
    await eventually(async () =>
      expect((await rows("Changes, last minute")).map(([, ...cells]) => cells)).toEqual([
        [HOMESERVER, "Invalidated", "2"],
      ]),
    );
    await postgres.query("insert into splitcache.member (id, counter) values ('~dead', 7)");
    await eventually(async () =>
      expect((await rows("Log")).at(-1)?.slice(0, 2)).toEqual(["~dead", "lease expired"]),
    );
    const top = await runCli(["top", "-n", "1", "--http", first.httpUrl.slice("http://".length)]);
    expect(top.stdout).toMatch(/^ {2}\S+ \(this sidecar\) +live /m);
    expect(top.stdout).toMatch(/^ {2}~dead +lease expired /m);
    expect(top.stdout).toMatch(/^ {2}[-\d]{10} [:\d]{8} +example\.org +Invalidated +2$/m);
    expect(complaints).toEqual([]);
  });
});
