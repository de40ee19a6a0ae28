import { expect, it } from "vitest";
import { defaultAddress } from "../../../../src/cli/client/default-address.js";

it("is that of SPLITCACHE_ADDRESS, whatever SPLITCACHE_LISTEN says", () => {
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
