import { expect, it } from "vitest";
import { isLoopback } from "../../../src/config/address.js";
import { loopbackHostCheck } from "../../../src/net/host-check.js";

const allows = loopbackHostCheck("Cache.Example");

it.each([
  "localhost",
  "LOCALHOST:9464",
  "127.0.0.1",
  "127.8.9.1:80",
  "[::1]",
  "[::1]:9464",
  "cache.example:9464",
  undefined,
])("takes %j", (host) => {
  expect(allows(host)).toBe(true);
});

it.each([
  "",
  "rebound.example",
  "localhost.rebound.example",
  "127.0.0.1.rebound.example",
  "127.0.0.1:80:80",
  "127.1",
  "[::2]",
  "[127.0.0.1]",
  "::1",
  "10.0.0.1",
  "localhost@rebound.example",
])("refuses %j", (host) => {
  expect(allows(host)).toBe(false);
});

it.each([
  ["127.0.0.1", true],
  ["127.255.0.3", true],
  ["::1", true],
  ["0.0.0.0", false],
  ["::", false],
  ["localhost", false],
])("knows whether %s is a loopback address: %s", (address, loopback) => {
  expect(isLoopback(address)).toBe(loopback);
});
