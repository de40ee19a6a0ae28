import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { buildProgram, type Program, type RunningProgram } from "../../test/support/program/build-program.js";
import { type Example, type Language, runExample } from "./example.js";

export const HOMESERVER = "example.org";

export interface Sidecar {
  readonly process: RunningProgram;
  readonly address: string;
  readonly port: number;
}

/** Real sidecars and examples for the tests of one file, which end with each test. */
export interface Sidecars {
  /** A path in a folder of the tests. */
  path(name: string): string;
  serve(listen: string): Promise<Sidecar>;
  start(language: Language, ...args: string[]): Example;
  /** Runs a client command to its end. */
  splitcache(address: string, command: string, ...args: string[]): Promise<void>;
  /** Calls it after the test. */
  cleanUp(cleanup: () => unknown): void;
}

export function useSidecars(): Sidecars {
  let program: Program;
  let folder: string;
  const cleanups: (() => unknown)[] = [];
  beforeAll(async () => {
    program = await buildProgram();
    folder = await mkdtemp(join(tmpdir(), "splitcache-"));
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  afterAll(async () => {
    await program.remove();
    await rm(folder, { recursive: true });
  });
  return {
    path: (name) => join(folder, name),
    cleanUp: (cleanup) => void cleanups.push(cleanup),
    serve: async (listen) => {
      const process = program.start(["serve", "--http", "off", "--listen", listen]);
      cleanups.push(async () => {
        process.kill("SIGKILL");
        await process.end;
      });
      const { listen: addresses } = JSON.parse(await process.logLine("splitcache serves"));
      const address: string = addresses[0];
      return { process, address, port: Number(address.split(":").at(-1)) };
    },
    start: (language, ...args) => {
      const example = runExample(language, args);
      cleanups.push(() => example.stop());
      return example;
    },
    splitcache: async (address, command, ...args) => {
      const { code, stderr } = await program.run([command, "-H", HOMESERVER, "--address", address, ...args]);
      expect(stderr).toBe("");
      expect(code).toBe(0);
    },
  };
}
