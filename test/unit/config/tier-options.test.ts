import { describe, expect, it } from "vitest";
import { formatRedisUrl, parseRedisUrl } from "../../../src/config/redis-url.js";
import { checkTierKey, tierSecretOf } from "../../../src/config/tier-key.js";
import { tierUrl } from "../../../src/config/values.js";

describe("where the tier is", () => {
  it("is none, or one of the topologies", () => {
    expect(tierUrl().parse("none")).toBe("none");
    expect(tierUrl().parse("redis://cache")).toMatchObject({ topology: "single", tls: false });
    expect(tierUrl().parse("rediss-sentinel://a,b/main/2")).toMatchObject({
      ...{ topology: "sentinel", primaryName: "main", database: 2, tls: true },
      nodes: [
        { host: "a", port: 26_379 },
        { host: "b", port: 26_379 },
      ],
    });
    expect(tierUrl().parse("redis-cluster://a:1,b:2")).toMatchObject({ topology: "cluster" });
  });

  it.each([
    ...["", "None", "memory", "redis://", "redis://u:p@a", "http://a", "redis://a,b", "redis://r/x"],
    ...["redis://r:0", "redis-sentinel://a", "redis-cluster://a/1", "redis-sentinel://a:1,b,a:1/main"],
    ...["redis-sentinel://a,A:26379/main", "redis-cluster://a,b,a:6379"],
  ])("is not %j", (text) => {
    expect(tierUrl().safeParse(text).error?.issues[0]?.message).toContain("must be none, redis://host:port");
  });
});

describe("the URL of the tier", () => {
  it.each([
    ...["redis://r:1", "rediss://[::1]:1/7", "redis-sentinel://a:1,b:2/main", "redis-cluster://a:1,b:2"],
    ...["rediss-sentinel://a:1,[::1]:2/main/3", "rediss-cluster://a:1"],
  ])("is written as it was read, %s", (url) => {
    expect(formatRedisUrl(parseRedisUrl(url)!)).toBe(url);
  });
});

describe("the key file of the tier", () => {
  it("holds a secret of some length, which no message shows", () => {
    const text = "0123456789abcdef0123456789abcdef";
    expect(() => checkTierKey(text)).not.toThrow();
    expect(tierSecretOf(text)).toEqual(Buffer.from(text));
    for (const bad of [text.slice(1), "a".repeat(64), "\n".repeat(40)]) {
      expect(() => checkTierKey(bad)).toThrow("openssl rand");
      expect(() => checkTierKey(bad)).not.toThrow(bad);
    }
  });
});
