import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { createGunzip } from "node:zlib";
import { REQUEST_BYTES_MAX } from "../core/limits.js";
import { CliError } from "./cli-error.js";
import { ExitCode } from "./exit-code.js";

/** Told of the bytes that were read of a file, packed, as they are read. */
export type ReadProgress = (bytes: number) => void;

/** What no line of a file exceeds that holds one event or one operation a line. */
const LINE_CHARACTERS_MAX = 2 * REQUEST_BYTES_MAX;

/** The lines of a file, unpacked if its name ends in `.gz`, without empty ones. */
export async function* readFileLines(path: string, onRead: ReadProgress = () => {}): AsyncGenerator<string> {
  const file = createReadStream(path);
  file.on("data", (chunk) => onRead(chunk.length));
  // The pipeline hands an error of the file on to the stream that is read.
  yield* readLines(path.endsWith(".gz") ? pipeline(file, createGunzip(), () => {}) : file);
}

/**
 * The lines of a stream of bytes, without empty ones. Only a line feed ends a
 * line: node:readline would also split at U+2028, which JSON allows in a string.
 */
export async function* readLines(stream: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + (typeof chunk === "string" ? chunk : decoder.write(chunk))).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_CHARACTERS_MAX) {
      throw new CliError(ExitCode.usage, `a line has more than ${LINE_CHARACTERS_MAX} characters`);
    }
    for (const line of lines) {
      if (line !== "") yield line;
    }
  }
  rest += decoder.end();
  if (rest !== "") yield rest;
}
