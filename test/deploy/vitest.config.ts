import { defineConfig } from "vitest/config";

const TIMEOUT_MS = 120_000;

export default defineConfig({
  test: {
    name: "deploy",
    root: import.meta.dirname,
    include: ["**/*.test.ts"],
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    env: { grpc_proxy: "", https_proxy: "", http_proxy: "" },
  },
});
