import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { NO_CREDENTIALS, type RedisTarget } from "../../../src/tier/redis/target.js";
import { eventually } from "../../support/eventually.js";
import { freePort, hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { startCluster, startSentinel, targetOf } from "../../support/tier/topologies.js";
import { ALPHA, entryOf, idOf, useTiers } from "../../support/tier/use-tiers.js";

const LOGIN = { ...NO_CREDENTIALS, username: "cache", password: "a-secret" };

describe.skipIf(!(await hasRedisServer()))("credentials for the tier", () => {
  let folder: string;
  let [certificate, key]: string[] = [];
  const started: { stop(): Promise<void> }[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "splitcache-tls-"));
    certificate = await makeCertificate(join(folder, "key.pem"), join(folder, "certificate.pem"));
    key = await readFile(join(folder, "key.pem"), "utf8");
  });
  afterEach(async () => {
    for (const one of started.splice(0)) await one.stop();
  });
  afterAll(() => rm(folder, { recursive: true }));
  const tiers = useTiers();

  const expectUsable = async (target: RedisTarget) => {
    const { write, read } = await tiers.open({ target });
    await write(ALPHA, [entryOf(1)]);
    expect(await read(ALPHA, [idOf(1)])).toHaveLength(1);
  };
  const expectRefused = async (target: RedisTarget, reason: RegExp) => {
    const { logged, tier } = tiers.start({ target });
    await eventually(() => expect(logged.join("\n")).toMatch(reason));
    expect(logged.join("\n")).not.toContain("a-secret");
    expect(tier.status().isUp).toBe(false);
    await tier.close();
  };

  /** Takes all rights from connections that do not log in, and gives the user the rights that the documentation lists. */
  const demandLogin = async (server: RedisProcess, ...more: string[]) => {
    const rights = "reset on >a-secret +hello +auth +ping +get +mget +set +unlink".split(" ");
    await server.command("ACL", "SETUSER", "cache", ...rights, ...more, `~${tiers.keyPrefix()}:*`);
    await server.command("ACL", "SETUSER", "default", "resetpass");
  };

  async function startSecure(asksClients: "no" | "yes"): Promise<RedisTarget> {
    const tlsPort = await freePort();
    const files = { cert: "certificate.pem", key: "key.pem", "ca-cert": "certificate.pem" };
    const secure = await RedisProcess.start([
      ...["--tls-port", String(tlsPort), "--tls-auth-clients", asksClients],
      ...Object.entries(files).flatMap(([what, name]) => [`--tls-${what}-file`, join(folder, name)]),
    ]);
    started.push(secure);
    return { ...targetOf("single", [tlsPort]), tls: true };
  }

  it("are trusted over TLS only if the authority is", async () => {
    const target = await startSecure("no");
    await expectRefused(target, /self.signed certificate/);
    await expectUsable({ ...target, ca: certificate });
  });

  it("may be a certificate", async () => {
    const target = { ...(await startSecure("yes")), ca: certificate };
    await expectRefused(target, /certificate required|closed/i);
    await expectUsable({ ...target, cert: certificate, key });
  });

  it("are given to each server of a Cluster, which needs CLUSTER SLOTS beside", async () => {
    const cluster = await startCluster();
    started.push(cluster);
    for (const server of cluster.servers) await demandLogin(server, "+cluster|slots");
    await expectRefused(cluster.target, /denied: NOAUTH/);
    await expectUsable({ ...cluster.target, ...LOGIN });
  });

  it("are others for Sentinels than for Redis", async () => {
    const sentinels = await startSentinel();
    started.push(sentinels);
    for (const server of sentinels.servers) await demandLogin(server);
    await expectRefused(sentinels.target, /denied: NOAUTH/);
    await expectUsable({ ...sentinels.target, ...LOGIN });
    const watching =
      "on >sentinel-secret ~* &* +hello +auth +ping +psubscribe +sentinel|sentinels +sentinel|master";
    for (const { port } of sentinels.target.nodes) {
      const sentinel = sentinels.sentinels.find((one) => one.port === port)!;
      await sentinel.command(...["ACL", "SETUSER", "watcher", ...watching.split(" "), "+sentinel|replicas"]);
      await sentinel.command("ACL", "SETUSER", "default", "resetpass");
    }
    await expectRefused({ ...sentinels.target, ...LOGIN }, /denied: NOAUTH/);
    const login = { ...LOGIN, sentinelUsername: "watcher", sentinelPassword: "sentinel-secret" };
    await expectUsable({ ...sentinels.target, ...login });
  });
});

/** Makes a key, and a certificate of its own for 127.0.0.1, which it returns. */
async function makeCertificate(keyPath: string, path: string): Promise<string> {
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  const named = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"];
  await promisify(execFile)("openssl", [
    ...["req", "-x509", ...made, ...named],
    ...["-keyout", keyPath, "-out", path],
  ]);
  return readFile(path, "utf8");
}
