import { createReadStream, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { createGunzip } from "node:zlib";

/**
 * The folder that holds the whole recorded corpus (`events.jsonl.gz`,
 * `trace.jsonl.gz`): `SPLITCACHE_DATA`, else `../shared/data` beside the
 * repository; undefined where it is not.
 */
export function sharedDataDir(): string | undefined {
  const { SPLITCACHE_DATA } = process.env;
  const dir = SPLITCACHE_DATA ?? resolve(import.meta.dirname, "../../../shared/data");
  return existsSync(join(dir, "events.jsonl.gz")) ? dir : undefined;
}

/** The lines of a `.jsonl` or `.jsonl.gz` file, one at a time, parsed and taken to be what the caller says. */
export async function* readJsonLines<Line>(path: string): AsyncGenerator<Line> {
  const file = createReadStream(path);
  const input = path.endsWith(".gz") ? file.pipe(createGunzip()) : file;
  for await (const line of createInterface({ input })) {
    const parsed: Line = JSON.parse(line);
    yield parsed;
  }
}
