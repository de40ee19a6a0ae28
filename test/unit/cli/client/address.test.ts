import { describe, expect, it } from "vitest";
import {
  defaultAddress,
  defaultHttpAddress,
  defaultProbeAddress,
  parseAddress,
  parseHttpAddress,
} from "../../../../src/cli/client/address.js";

describe("the address of a flag", () => {
  it.each(["sidecar:1", "[::1]:50051", "unix:relative/s"])("may be %s", (text) => {
    expect(parseAddress(text)).toBe(text);
  });

  it.each(["host", "host:0", "host:99999", "::1:80", "unix:", "http://host:1", ""])("is not %j", (text) => {
    expect(() => parseAddress(text)).toThrow("Expected host:port or [ipv6]:port with a port from 1 to 65535");
  });
});

describe("the default address", () => {
  it("is SPLITCACHE_ADDRESS, even if SPLITCACHE_LISTEN is set", () => {
    const env = { SPLITCACHE_ADDRESS: "sidecar:1", SPLITCACHE_LISTEN: "0.0.0.0:2" };
    expect(defaultAddress(env)).toBe("sidecar:1");
  });

  it.each([
    ["127.0.0.2:7000", "127.0.0.2:7000"],
    ["0.0.0.0:7000", "127.0.0.1:7000"],
    ["[::]:7000", "[::1]:7000"],
    ["[0:0::0]:7000", "[::1]:7000"],
    ["[fd00::1]:7000", "[fd00::1]:7000"],
    ["unix:/run/splitcache/s", "unix:/run/splitcache/s"],
    [" unix:/s , 0.0.0.0:7000", "unix:/s"],
  ])("reaches the first listener of %j", (listen, address) => {
    expect(defaultAddress({ SPLITCACHE_LISTEN: listen })).toBe(address);
  });

  it.each([{}, { SPLITCACHE_ADDRESS: "", SPLITCACHE_LISTEN: "" }])("is loopback for %j", (env) => {
    expect(defaultAddress(env)).toBe("127.0.0.1:50051");
  });

  it("is refused with the name of the variable", () => {
    expect(() => defaultAddress({ SPLITCACHE_ADDRESS: "host:99999" })).toThrow(
      "SPLITCACHE_ADDRESS=host:99999: expected host:port",
    );
  });
});

describe("the default address of a probe", () => {
  const LISTEN = { SPLITCACHE_LISTEN: "0.0.0.0:1" };
  const HEALTH = { ...LISTEN, SPLITCACHE_HEALTH_LISTEN: "0.0.0.0:2" };

  it.each([
    [HEALTH, false, "127.0.0.1:2"],
    // The listener of probes never uses TLS.
    [HEALTH, true, "127.0.0.1:1"],
    [LISTEN, false, "127.0.0.1:1"],
    [{ ...HEALTH, SPLITCACHE_ADDRESS: "sidecar:3" }, false, "sidecar:3"],
    [{}, false, "127.0.0.1:50051"],
  ])("of %j, with TLS: %s, is %s", (env, usesTls, address) => {
    expect(defaultProbeAddress(env, usesTls)).toBe(address);
  });
});

describe("the address of the metrics", () => {
  it.each(["host:1", "http://host:1", "http://host:1/", "http://host:1/metrics", "host:1/metrics"])(
    "may be %s",
    (text) => {
      expect(parseHttpAddress(text)).toBe("host:1");
    },
  );

  it.each(["host", "https://host:1", "http://host", "host:99999", "http://host:1/other"])(
    "is not %s",
    (text) => {
      expect(() => parseHttpAddress(text)).toThrow("Expected host:port or http://host:port");
    },
  );

  it("reaches the listener of the environment, or is loopback", () => {
    expect(defaultHttpAddress({ SPLITCACHE_HTTP: "0.0.0.0:7" })).toBe("127.0.0.1:7");
    expect(defaultHttpAddress({})).toBe("127.0.0.1:9464");
    expect(() => defaultHttpAddress({ SPLITCACHE_HTTP: "off" })).toThrow("SPLITCACHE_HTTP=off: expected");
  });
});
