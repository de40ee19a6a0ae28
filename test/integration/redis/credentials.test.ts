import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CountedLog } from "../../../src/store/redis/counted-log.js";
import { PrimaryLink } from "../../../src/store/redis/primary-link.js";
import type { RedisCredentials, RedisTarget } from "../../../src/store/redis/target.js";
import { eventually } from "../../support/eventually.js";
import { freePort, hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { QUIET, targetOf } from "../../support/redis/redis-harness.js";
import { useRedis } from "../../support/redis/use-redis.js";
import { messageEvent } from "../../support/store-harness.js";

const UNAVAILABLE = { kind: "unavailable" };

describe.skipIf(!(await hasRedisServer()))("as whom Redis is asked", () => {
  const { server, keyPrefix, newAlpha } = useRedis();
  let folder: string;
  let [certificate, key]: string[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "splitcache-tls-"));
    certificate = await makeCertificate(join(folder, "key.pem"), join(folder, "certificate.pem"));
    key = await readFile(join(folder, "key.pem"), "utf8");
  });
  afterAll(() => rm(folder, { recursive: true }));

  function alphaAt(target: RedisTarget) {
    const troubles: { readonly kind: string; readonly message: string }[] = [];
    const trouble = (kind: string, message: string) => void troubles.push({ kind, message });
    const redisLog = new CountedLog({ ...QUIET, trouble });
    const link = new PrimaryLink(target, () => performance.now(), redisLog);
    return { alpha: newAlpha({ link, redisLog }).alpha, troubles };
  }

  /** A server that speaks TLS, and asks clients for a certificate or does not. */
  async function startSecure(asksClients: "no" | "yes") {
    const tlsPort = await freePort();
    const files = { cert: "certificate.pem", key: "key.pem", "ca-cert": "certificate.pem" };
    const secure = await RedisProcess.start([
      ...["--tls-port", String(tlsPort), "--tls-auth-clients", asksClients],
      ...Object.entries(files).flatMap(([what, name]) => [`--tls-${what}-file`, join(folder, name)]),
    ]);
    const alpha = (credentials: Partial<RedisCredentials>) =>
      alphaAt({ ...targetOf("single", [tlsPort]), tls: true, ...credentials }).alpha;
    return { secure, alpha };
  }

  it("names bad credentials, and works with good ones", async () => {
    // What docs/redis.md tells operators to allow.
    const allowed =
      "+@read +@write -@dangerous +@scripting +@connection +@pubsub +info +time +wait +cluster".split(" ");
    const named = [`~${keyPrefix()}:*`, `&${keyPrefix()}:*`];
    await server().command("ACL", "SETUSER", "cache", "on", ">secret", ...named, ...allowed);
    const connect = (password: string) =>
      alphaAt({ ...targetOf("single", [server().port]), username: "cache", password });
    const wrong = connect("wrong");
    await expect(wrong.alpha.position()).rejects.toMatchObject(UNAVAILABLE);
    expect(wrong.troubles).toContainEqual({
      kind: "denied",
      message: expect.stringMatching(/^no connection to 127.0.0.1:\d+: WRONGPASS /),
    });
    const { alpha } = connect("secret");
    expect(await alpha.put([messageEvent("$a")])).toEqual(["stored"]);
    const subscriber = alpha.subscribe();
    await subscriber.frame();
    await alpha.invalidate(["$a"]);
    expect((await subscriber.change()).kind).toBe("batch");
    await subscriber.close();
  });

  it("says that it may not hear of changes, and serves them all the same", async () => {
    const allowed = ["~*", "&*", "+@all", "-ssubscribe"];
    await server().command("ACL", "SETUSER", "deaf", "on", ">secret", ...allowed);
    const { alpha, troubles } = alphaAt({
      ...targetOf("single", [server().port]),
      ...{ username: "deaf", password: "secret" },
    });
    const subscriber = alpha.subscribe();
    await subscriber.frame();
    await eventually(() =>
      expect(troubles).toContainEqual({
        kind: "denied",
        message: expect.stringMatching(/^a subscription: NOPERM /),
      }),
    );
    await alphaAt(targetOf("single", [server().port])).alpha.invalidate(["$a"]);
    expect((await subscriber.change()).kind).toBe("batch");
    await subscriber.close();
  });

  it("speaks TLS, and to nobody whose certificate it cannot trust", async () => {
    const { secure, alpha } = await startSecure("no");
    try {
      await expect(alpha({}).position()).rejects.toMatchObject(UNAVAILABLE);
      const trusting = alpha({ ca: certificate });
      expect(await trusting.put([messageEvent("$a")])).toEqual(["stored"]);
      expect(await trusting.hits("$a")).toEqual(["$a"]);
    } finally {
      await secure.stop();
    }
  });

  it("shows a certificate to a server that asks for one", async () => {
    const { secure, alpha } = await startSecure("yes");
    try {
      await expect(alpha({ ca: certificate }).position()).rejects.toMatchObject(UNAVAILABLE);
      const known = alpha({ ca: certificate, cert: certificate, key });
      expect(await known.put([messageEvent("$a")])).toEqual(["stored"]);
    } finally {
      await secure.stop();
    }
  });
});

/** Makes a key, and a certificate for 127.0.0.1 that vouches for itself, which it returns. */
async function makeCertificate(keyPath: string, path: string): Promise<string> {
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  const named = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"];
  await promisify(execFile)("openssl", [
    ...["req", "-x509", ...made, ...named],
    ...["-keyout", keyPath, "-out", path],
  ]);
  return readFile(path, "utf8");
}
