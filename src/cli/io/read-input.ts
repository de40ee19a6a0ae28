import { createReadStream } from "node:fs";
import { addAbortSignal, pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { BODY_BYTES_MAX, REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import { CliError, ExitCode } from "../exit-code.js";
import type { CliIo } from "./cli-io.js";
import { BYTE_ORDER_MARK, BYTE_ORDER_MARK_PROBLEM } from "./parse-json.js";
import { decodeUtf8, isUnicode } from "./utf8.js";

/** Called with the number of bytes of each piece of a file, still packed, as it is read. */
export type ReadProgress = (bytes: number) => void;

export interface Line {
  /** The file and the number of the line, counted from 1 with empty lines. */
  readonly where: string;
  /** See `decodeUtf8` for bytes that are not UTF-8. */
  readonly text: string;
}

/** No valid line of a file with one event or one operation a line is longer. */
const LINE_BYTES_MAX = 2 * REQUEST_BYTES_MAX;
const LINE_FEED = 0x0a;

/** The lines of a file, or of standard input if it is `-`, without empty lines. */
export function readInputLines({ stdin, signal }: CliIo, file: string): AsyncGenerator<Line> {
  return file === "-" ? readLines(addAbortSignal(signal, stdin), "stdin") : readFileLines(file, { signal });
}

/** The lines of a file, unpacked if its name ends in `.gz`, without empty lines. */
export function readFileLines(
  path: string,
  { onRead = () => {}, signal }: { onRead?: ReadProgress | undefined; signal?: AbortSignal } = {},
): AsyncGenerator<Line> {
  const file = createReadStream(path);
  if (signal !== undefined) addAbortSignal(signal, file);
  file.on("data", (chunk) => onRead(chunk.length));
  // The pipeline passes an error of the file on to the unpacked stream.
  return readLines(path.endsWith(".gz") ? pipeline(file, createGunzip(), () => {}) : file, path);
}

/**
 * The lines of a stream of bytes, without empty lines; `name` names the stream in errors. Only a line
 * feed ends a line: node:readline would also split at U+2028, which JSON allows in a string.
 */
export async function* readLines(stream: Readable, name: string): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let number = 1;
  for await (const chunk of chunksOf(stream, name)) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      take(chunk.subarray(start, end));
      const text = decodeUtf8(Buffer.concat(parts));
      if (text !== "") yield { where: where(), text };
      parts = [];
      bytes = 0;
      number += 1;
      start = end + 1;
    }
    take(chunk.subarray(start));
  }
  const text = decodeUtf8(Buffer.concat(parts));
  if (text !== "") yield { where: where(), text };

  function where(): string {
    return `${name}, line ${number}`;
  }

  function take(part: Buffer): void {
    parts.push(part);
    bytes += part.length;
    if (bytes > LINE_BYTES_MAX) {
      throw new CliError(ExitCode.usage, `${where()} has more than ${LINE_BYTES_MAX} bytes`);
    }
  }
}

/** The JSON text of one event, in a file or in standard input if it is `-`; `field` names it in errors. */
export async function readJsonText({ stdin, signal }: CliIo, file: string, field: string): Promise<Buffer> {
  const name = file === "-" ? "stdin" : file;
  const where = `${name}: ${field}`;
  const stream = addAbortSignal(signal, file === "-" ? stdin : createReadStream(file));
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunksOf(stream, name)) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > BODY_BYTES_MAX) {
      throw new CliError(ExitCode.usage, `${where} has more than ${BODY_BYTES_MAX} bytes`);
    }
  }
  const bytes = Buffer.concat(chunks);
  const text = decodeUtf8(bytes);
  if (!isUnicode(text)) throw new CliError(ExitCode.usage, `${where} is not valid UTF-8`);
  if (text.startsWith(BYTE_ORDER_MARK)) {
    throw new CliError(ExitCode.usage, `${where} ${BYTE_ORDER_MARK_PROBLEM}`);
  }
  return bytes;
}

/** The pieces of a stream. A file that cannot be read is an error of usage. */
async function* chunksOf(stream: Readable, name: string): AsyncGenerator<Buffer> {
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    // Node.js repeats the call and the path: `ENOENT: no such file or directory, open '/nope'`.
    const reason = message.replace(/, [a-z]+(?: '.*')?$/s, "");
    throw new CliError(ExitCode.usage, `${name} cannot be read: ${reason}`, cause);
  }
}
