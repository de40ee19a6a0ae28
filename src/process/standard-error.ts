import { constants, fstatSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import type { WriteSome } from "../telemetry/line-output.js";

/**
 * Writes to standard error without waiting for its reader. If a pipe, a terminal or a socket is full, the
 * write fails with EAGAIN. A write to a file waits for its disk.
 */
export function standardErrorWriter(): WriteSome {
  const fd = openWithoutWaiting() ?? STDERR;
  return (bytes) => writeSync(fd, bytes);
}

const STDERR = 2;
const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;

/**
 * Opens standard error once more without blocking: the flag belongs to the open file, which other processes
 * may share, so that setting it on the descriptor itself would change it for them. Undefined for a file, which
 * never blocks for a reader; for a socket, which cannot be opened by a path; and without /dev/fd.
 */
function openWithoutWaiting(): number | undefined {
  // Node.js makes a pipe and a socket non-blocking when the stream is first asked for.
  void process.stderr;
  try {
    if (fstatSync(STDERR).isFile()) return undefined;
    return openSync("/dev/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined;
  }
}
