import { defineConfig } from "vitest/config";

/** The tests that run against mutants of src/core: the tests that reach it without a network. */
export default defineConfig({
  test: {
    include: [
      "test/unit/core/**/*.test.ts",
      "test/properties/core/**/*.test.ts",
      "test/unit/store/**/*.test.ts",
      "test/contract/**/*.test.ts",
    ],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
