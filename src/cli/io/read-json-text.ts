import { createReadStream } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import { BODY_BYTES_MAX } from "../../core/model/limits.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "./cli-io.js";
import { decodeUtf8, isUnicode } from "./decode-utf8.js";

const BYTE_ORDER_MARK = "\uFEFF";

/** Reads a file, or standard input if it is `-`, that holds one event's JSON text, and returns its bytes. */
export async function readJsonText(io: CliIo, file: string, field: string): Promise<Buffer> {
  const where = file === "-" ? "stdin" : file;
  const stream = file === "-" ? io.stdin : createReadStream(file);
  const bytes = await readBounded(addAbortSignal(io.signal, stream), `${where}: ${field}`);
  const text = decodeUtf8(bytes);
  if (!isUnicode(text)) throw new CliError(ExitCode.usage, `${where}: ${field} is not valid UTF-8`);
  if (text.startsWith(BYTE_ORDER_MARK)) {
    const problem = "begins with a byte order mark (U+FEFF): remove it";
    throw new CliError(ExitCode.usage, `${where}: ${field} ${problem}`);
  }
  return bytes;
}

async function readBounded(stream: Readable, where: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > BODY_BYTES_MAX) {
      throw new CliError(ExitCode.usage, `${where} has more than ${BODY_BYTES_MAX} bytes`);
    }
  }
  return Buffer.concat(chunks);
}
