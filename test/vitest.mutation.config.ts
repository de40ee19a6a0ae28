import { defineConfig } from "vitest/config";

/** The tests that mutants of src/core are tried on: those that reach it without a network. */
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
