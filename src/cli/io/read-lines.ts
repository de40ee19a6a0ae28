import { createReadStream } from "node:fs";
import { addAbortSignal, pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-code.js";
import { decodeUtf8 } from "./decode-utf8.js";

/** Told of the bytes that were read of a file, packed, as they are read. */
export type ReadProgress = (bytes: number) => void;

export interface Line {
  /** Counted from 1, with empty lines. */
  readonly number: number;
  /** See `decodeUtf8` for bytes that are not UTF-8. */
  readonly text: string;
}

/** No line of a file exceeds this that holds one event or one operation a line. */
const LINE_BYTES_MAX = 2 * REQUEST_BYTES_MAX;
const LINE_FEED = 0x0a;

/** The lines of a file, unpacked if its name ends in `.gz`, without empty ones. */
export async function* readFileLines(
  path: string,
  { onRead = () => {}, signal }: { onRead?: ReadProgress | undefined; signal?: AbortSignal } = {},
): AsyncGenerator<Line> {
  const file = createReadStream(path);
  if (signal !== undefined) addAbortSignal(signal, file);
  file.on("data", (chunk) => onRead(chunk.length));
  // The pipeline hands an error of the file on to the stream that is read.
  yield* readLines(path.endsWith(".gz") ? pipeline(file, createGunzip(), () => {}) : file);
}

/**
 * The lines of a stream of bytes, without empty ones. Only a line feed ends a
 * line: node:readline would also split at U+2028, which JSON allows in a string.
 */
export async function* readLines(stream: Readable): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let number = 1;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      take(chunk.subarray(start, end));
      const text = decodeUtf8(Buffer.concat(parts));
      if (text !== "") yield { number, text };
      parts = [];
      bytes = 0;
      number += 1;
      start = end + 1;
    }
    take(chunk.subarray(start));
  }
  const text = decodeUtf8(Buffer.concat(parts));
  if (text !== "") yield { number, text };

  function take(part: Buffer): void {
    parts.push(part);
    bytes += part.length;
    if (bytes > LINE_BYTES_MAX) {
      throw new CliError(ExitCode.usage, `line ${number} has more than ${LINE_BYTES_MAX} bytes`);
    }
  }
}
