import { defineConfig } from "vitest/config";

/** grpc-js would go through these even to loopback. */
const env = { grpc_proxy: "", https_proxy: "", http_proxy: "" };

const project = (name: string, options: { readonly isolate?: boolean } = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    env,
    ...options,
  },
});

export default defineConfig({
  test: {
    // Many of them wait for servers more than they work.
    maxWorkers: "100%",
    // Transformed files are kept between runs, in node_modules.
    experimental: { fsModuleCache: true },
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/gen/**"],
      reporter: ["text-summary", "html"],
      thresholds: { statements: 92, branches: 87, functions: 91, lines: 93 },
    },
    projects: [
      // One module graph for all files of a worker: to load it anew for each takes longer than the tests.
      project("unit", { isolate: false }),
      project("properties", { isolate: false }),
      project("tidy", { isolate: false }),
      ...["contract", "protocol", "model", "integration", "soak", "interop", "attack", "browser"].map(
        (name) => project(name),
      ),
    ],
  },
});
