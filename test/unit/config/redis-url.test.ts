import { describe, expect, it } from "vitest";
import { formatRedisUrl, parseRedisUrl } from "../../../src/config/redis-url.js";
import { tierUrl } from "../../../src/config/values.js";

describe("the value of --tier", () => {
  it("is none, or the URL of a topology", () => {
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
  ])("is formatted as it was read, %s", (url) => {
    expect(formatRedisUrl(parseRedisUrl(url)!)).toBe(url);
  });
});
