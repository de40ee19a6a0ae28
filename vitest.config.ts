import { defineConfig } from "vitest/config";

/** grpc-js would go through these even to loopback. */
const env = { grpc_proxy: "", https_proxy: "", http_proxy: "" };

const project = (name: string) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: 30_000, hookTimeout: 30_000, env },
});

export default defineConfig({
  test: {
    // Many of them wait for servers more than they work.
    maxWorkers: "100%",
    projects: [
      "unit",
      "contract",
      "protocol",
      "model",
      "integration",
      "soak",
      "interop",
      "attack",
      "browser",
    ].map(project),
  },
});
