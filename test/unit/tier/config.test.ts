import { describe, expect, it } from "vitest";
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

  it.each(["", "None", "memory", "redis://", "redis://u:p@a", "http://a", "redis://a,b"])(
    "is not %j",
    (text) => {
      expect(tierUrl().safeParse(text).error?.issues[0]?.message).toContain(
        "must be none, redis://host:port",
      );
    },
  );
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
