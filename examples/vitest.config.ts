import { defineConfig } from "vitest/config";

const EXAMPLES_TIMEOUT_MS = 60_000;

export default defineConfig({
  test: {
    name: "examples",
    root: import.meta.dirname,
    include: ["test/**/*.test.ts"],
    testTimeout: EXAMPLES_TIMEOUT_MS,
    hookTimeout: EXAMPLES_TIMEOUT_MS,
    // Writes wait for their announcements: a machine that is too busy lets that time pass.
    fileParallelism: false,
  },
});
