import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { PrimaryLink } from "../../../src/store/redis/primary-link.js";
import type { RedisCredentials } from "../../../src/store/redis/target.js";
import { eventually } from "../../support/eventually.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";
import { freePort, hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { QUIET, targetOf } from "../../support/redis/redis-harness.js";

describe.skipIf(!(await hasRedisServer()))("who asks Sentinels", () => {
  let redis: RedisProcess;
  let sentinel: RedisProcess;
  let cut: LinkProxy;
  let link: PrimaryLink | undefined;
  beforeAll(async () => {
    redis = await RedisProcess.start();
    const config = () => `sentinel monitor primary 127.0.0.1 ${redis.port} 1`;
    sentinel = await RedisProcess.start([], { sentinel: true, config });
    cut = await LinkProxy.start(sentinel.port);
  });
  afterEach(() => link?.close());
  afterAll(async () => {
    await cut.stop();
    await sentinel.stop();
    await redis.stop();
  });

  async function askedThrough(port: number, credentials: Partial<RedisCredentials> = {}): Promise<void> {
    const target = { ...targetOf("sentinel", [port]), ...credentials };
    link = new PrimaryLink(target, () => performance.now(), QUIET);
    await link.getValues(["nothing"]);
  }

  /** The connections that a sidecar has to the Sentinel. */
  async function connections() {
    const clients = (await sentinel.command<string>("CLIENT", "LIST")).split("\n");
    const number = (client: string, name: string) => Number(new RegExp(`\\b${name}=(\\d+)`).exec(client)![1]);
    return clients
      .filter((client) => client.includes("name=splitcache"))
      .map((client) => ({
        id: number(client, "id"),
        ageSeconds: number(client, "age"),
        user: /\buser=(\S+)/.exec(client)?.[1],
      }));
  }

  it("keeps one connection to each, though it asks every second", async () => {
    await askedThrough(sentinel.port);
    await eventually(async () => {
      expect(await connections()).toEqual([
        expect.objectContaining({ ageSeconds: expect.toSatisfy((age) => age >= 3) }),
      ]);
    });
  });

  it("says what each of them answers, if none names the primary", async () => {
    const ports = [sentinel.port, await freePort()];
    const target = { ...targetOf("sentinel", ports), primaryName: "nobody" };
    link = new PrimaryLink(target, () => performance.now(), QUIET);
    const asked = link.getValues(["nothing"]);
    await expect(asked).rejects.toThrow(/^no connection to the primary nobody: /);
    await expect(asked).rejects.toThrow(`Sentinel 127.0.0.1:${ports[0]}: it knows no primary nobody`);
    await expect(asked).rejects.toThrow(`Sentinel 127.0.0.1:${ports[1]}: connect ECONNREFUSED`);
  });

  it("is nobody to open ones, though somebody to Redis", async () => {
    await redis.command("ACL", "SETUSER", "cache", "on", ">kept", "~*", "+@all");
    await askedThrough(sentinel.port, { username: "cache", password: "kept" });
    expect((await connections()).map(({ user }) => user)).toEqual(["default"]);
  });

  it("is somebody to them, and somebody else to Redis", async () => {
    await redis.command("ACL", "SETUSER", "cache", "on", ">kept", "~*", "+@all");
    const asked = ["+@connection", "+sentinel|get-master-addr-by-name"];
    await sentinel.command("ACL", "SETUSER", "asker", "on", ">asked", ...asked);
    const credentials = { username: "cache", password: "kept", sentinelUsername: "asker" };
    const wrong = askedThrough(sentinel.port, { ...credentials, sentinelPassword: "kept" });
    await expect(wrong).rejects.toMatchObject({
      kind: "denied",
      message: expect.stringContaining(`Sentinel 127.0.0.1:${sentinel.port}: WRONGPASS`),
    });
    await link!.close();
    await askedThrough(sentinel.port, { ...credentials, sentinelPassword: "asked" });
    expect((await connections()).map(({ user }) => user)).toEqual(["asker"]);
  });

  it("tells of it when none of them answers, though the primary does", async () => {
    const troubles: string[] = [];
    const log = { ...QUIET, trouble: (_kind: string, message: string) => void troubles.push(message) };
    link = new PrimaryLink(targetOf("sentinel", [cut.port]), () => performance.now(), log);
    await link.getValues(["nothing"]);
    cut.set({ toServer: "held" });
    try {
      await eventually(() => expect(troubles).toContainEqual(expect.stringContaining("Sentinel 127.0.0.1:")));
      await link.getValues(["nothing"]);
    } finally {
      cut.set({ toServer: "open" });
    }
  });

  it("tells of it when too few of them answer to choose another primary", async () => {
    const troubles: string[] = [];
    const log = { ...QUIET, trouble: (_kind: string, message: string) => void troubles.push(message) };
    const target = targetOf("sentinel", [sentinel.port, await freePort()]);
    link = new PrimaryLink(target, () => performance.now(), log);
    await link.getValues(["nothing"]);
    await eventually(() =>
      expect(troubles).toContainEqual("no more than half of the Sentinels name the same primary"),
    );
    await link.getValues(["nothing"]);
  });

  it("gives up a connection that has gone dead, and asks over another", async () => {
    await askedThrough(cut.port);
    const [first] = await connections();
    cut.mute("GET-MASTER-ADDR-BY-NAME");
    await eventually(async () => {
      expect((await connections()).map(({ id }) => id)).not.toContain(first!.id);
    });
    cut.mute(undefined);
    await eventually(async () => {
      expect(await connections()).toEqual([
        expect.objectContaining({ ageSeconds: expect.toSatisfy((age) => age >= 3) }),
      ]);
    });
  });
});
