import { defineConfig } from "vitest/config";

const EXAMPLES_TIMEOUT_MS = 60_000;

export default defineConfig({
  test: {
    name: "examples",
    root: import.meta.dirname,
    include: ["test/**/*.test.ts"],
    testTimeout: EXAMPLES_TIMEOUT_MS,
    hookTimeout: EXAMPLES_TIMEOUT_MS,
  },
});
