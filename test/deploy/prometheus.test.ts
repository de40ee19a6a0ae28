import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { buildProgram, type Program, type RunningProgram } from "../support/program/build-program.js";
import { freePort } from "../support/program/free-port.js";
import { call } from "../support/server/calls.js";
import { type SecretFolder, useSecretFolders } from "../support/server/certificates.js";
import { startTestServer, type TestServer } from "../support/server/start-server.js";
import { cachedEvent, HOMESERVER, put, read } from "../support/server/wire.js";
import { CHART } from "./chart.js";

const makeFolder = useSecretFolders(afterAll);
const hasPrometheus = spawnSync("prometheus", ["--version"], { stdio: "ignore" }).status === 0;
/** Scrapes are a second apart here, so the rules' windows of minutes shrink to this. */
const WINDOW = "30s";
const READY_TIMEOUT_MS = 60_000;

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const dashboard: {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: { readonly query: string } }[];
  };
} = JSON.parse(readFileSync(`${CHART}/files/dashboard.json`, "utf8"));
const rules: { alert: string; expr: string }[] = parse(readFileSync(`${CHART}/files/alerts.yaml`, "utf8"))
  .groups[0].rules;
/** Only a PostgreSQL log that answers has members. */
const WITHOUT_DATA = /^splitcache_log_members\{/;
const allQueries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }): [string, string] => [title, expr]),
);
const queries = allQueries.filter(([, expr]) => !WITHOUT_DATA.test(expr));

describe.skipIf(!hasPrometheus)("a real Prometheus", () => {
  let folder: string;
  let program: Program;
  let busy: TestServer;
  let broken: RunningProgram;
  /** With TLS, a certificate that expires in two days, and an auth file. */
  let secured: TestServer;
  let prometheus: ChildProcess;
  let api: string;
  let traffic: NodeJS.Timeout;
  const targets = { busy: "", broken: "", gone: "", secured: "" };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "splitcache-prometheus-"));
    program = await buildProgram();
    busy = await startTestServer({ memoryBytes: 32 * 2 ** 20, subscribersMax: 1 });
    targets.busy = busy.httpUrl.replace("http://", "");
    targets.broken = `127.0.0.1:${await freePort()}`;
    targets.gone = `127.0.0.1:${await freePort()}`;
    const key = join(folder, "key");
    writeFileSync(key, "0123456789abcdef0123456789abcdef");
    const unavailable = [
      "--log",
      "postgres://u@127.0.0.1:1/d?sslmode=disable",
      "--tier",
      "redis://127.0.0.1:1",
    ];
    broken = program.start([
      "serve",
      "--listen",
      "127.0.0.1:0",
      "--http",
      targets.broken,
      ...unavailable,
      "--tier-key-file",
      key,
    ]);
    await broken.logLine("splitcache serves");
    traffic = makeTraffic(busy);
    const token = randomBytes(32).toString("hex");
    const { certificate, server } = await startSecured(await makeFolder(), token);
    secured = server;
    targets.secured = secured.httpUrl.replace("http://", "");
    const port = await freePort();
    api = `http://127.0.0.1:${port}/api/v1`;
    const config = join(folder, "prometheus.yml");
    writeFileSync(
      config,
      stringify({
        global: { scrape_interval: "1s" },
        scrape_configs: [
          {
            job_name: "cache-splitcache",
            static_configs: [{ targets: [targets.busy, targets.broken, targets.gone] }],
          },
          // As the ServiceMonitor of a service with an auth file and TLS says.
          {
            job_name: "secured-splitcache",
            scheme: "https",
            static_configs: [{ targets: [targets.secured] }],
            tls_config: { ca_file: certificate.certFile, server_name: "cache-splitcache.matrix.svc" },
            authorization: { credentials: token },
          },
        ],
      }),
    );
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    prometheus = spawn("prometheus", args, { stdio: "ignore" });
    // The busiest query needs what is scraped last: two scrapes of a call that fails.
    const enough = `rate(grpc_server_handled_total{grpc_code="RESOURCE_EXHAUSTED"}[${WINDOW}])`;
    await soon(async () => expect(await query(enough)).not.toEqual([]));
  }, READY_TIMEOUT_MS * 2);

  afterAll(async () => {
    clearInterval(traffic);
    const ended = once(prometheus, "exit");
    prometheus.kill();
    broken.kill("SIGKILL");
    await Promise.all([ended, broken.end]);
    await busy.stop();
    await secured.stop();
    await program.remove();
    rmSync(folder, { recursive: true });
  });

  async function query(expr: string): Promise<readonly Sample[]> {
    const reply = await fetch(`${api}/query?${new URLSearchParams({ query: expr })}`);
    const { status, data, error } = (await reply.json()) as {
      status: string;
      data: { result: readonly Sample[] };
      error?: string;
    };
    if (status !== "success") throw new Error(error);
    return data.result;
  }

  it.each(queries)("has data for %s: %s", async (_title, expr) => {
    const filled = expr
      .replaceAll("$__rate_interval", WINDOW)
      .replaceAll(/\$(job|instance|server_name)/g, ".*");
    await soon(async () => {
      const samples = await query(filled);
      expect(samples).not.toEqual([]);
      for (const { value } of samples) expect(value[1]).not.toBe("NaN");
    });
  });

  it("leaves out one query of the dashboard", () => {
    expect(queries).toHaveLength(allQueries.length - 1);
  });

  it.each(dashboard.templating.list.filter(({ query }) => query.query !== undefined))(
    "has values for the variable $name",
    async ({ query: { query: text } }) => {
      const [, selector = "", label = ""] = /^label_values\((.+), (\w+)\)$/.exec(text) ?? [];
      const samples = await query(selector.replaceAll(/\$\w+/g, ".*"));
      expect(samples.some(({ metric }) => metric[label])).toBe(true);
    },
  );

  it.each([
    ["SplitcacheDown", () => targets.gone],
    ["SplitcacheLogUnavailable", () => targets.broken],
    ["SplitcacheTierUnavailable", () => targets.broken],
    ["SplitcacheNewEpoch", () => targets.busy],
    ["SplitcacheFillsTooOld", () => undefined],
    ["SplitcacheCapacityExhausted", () => targets.busy],
    ["SplitcacheConnectionsRefused", () => undefined],
    ["SplitcacheCertificateExpires", () => targets.secured],
    ["SplitcacheInternalErrors", () => undefined],
    ["SplitcacheRestarting", () => undefined],
  ])("%s is true of the sidecar with its fault alone", async (name, faulty) => {
    const expr = rules.find(({ alert }) => alert === name)?.expr ?? "";
    await soon(async () => {
      const samples = await query(expr.replaceAll(/\[\d+m\]/g, `[${WINDOW}]`));
      expect(samples.map(({ metric }) => metric["instance"])).toEqual([faulty()].filter(Boolean));
    });
  });
});

async function startSecured(secrets: SecretFolder, token: string) {
  const certificate = await secrets.certificate("server", { names: "DNS:cache-splitcache.matrix.svc" });
  const digest = createHash("sha256").update(token).digest("hex");
  const clients = [{ name: "metrics", role: "metrics", tokens_sha256: [digest] }];
  const server = await startTestServer({
    authFile: await secrets.write("auth.yaml", JSON.stringify({ clients })),
    tlsCertFile: certificate.certFile,
    tlsKeyFile: certificate.keyFile,
  });
  return { certificate, server };
}

function soon(check: () => Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: READY_TIMEOUT_MS, interval: 200 });
}

/** Calls of every kind, some of which fail, ten times a second. */
function makeTraffic(server: TestServer): NodeJS.Timeout {
  const client = server.newClient();
  const follower = client.subscribe({ homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "" });
  follower.on("error", () => {}).resume();
  let turn = 0;
  return setInterval(() => {
    turn += 1;
    void makeCalls(turn).catch(() => {});
  }, 100);

  async function makeCalls(turn: number): Promise<void> {
    const { position } = await call(client, client.getEvents, read([]));
    const body = Buffer.alloc(200_000, turn);
    const events = [cachedEvent(`$${turn}`, { body }), cachedEvent(`$again`)];
    await call(client, client.putEvents, put(events, position));
    await call(client, client.getEvents, read([`$${turn}`, "$nowhere"]));
    await call(client, client.invalidateEvents, {
      homeserver: HOMESERVER,
      roomId: "",
      eventIds: [`$${turn - 200}`],
    });
    if (turn % 20 === 0)
      await call(client, client.purgeHomeserver, { homeserver: HOMESERVER, newEpoch: true });
    // One more subscriber than the limit allows.
    client
      .subscribe({ homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "" })
      .on("error", () => {})
      .resume();
  }
}
