import { constants, fstatSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import type { WriteSome } from "../ops/line-output.js";

/**
 * Writes to standard error without waiting for whoever reads it: a pipe, a socket or a terminal that
 * takes no more fails with EAGAIN. A file on a disk takes what the disk takes.
 */
export function standardErrorWriter(): WriteSome {
  const fd = openWithoutWaiting() ?? STDERR;
  return (bytes) => writeSync(fd, bytes);
}

const STDERR = 2;
const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;

/**
 * Opens standard error once more, so that processes which share it keep their own mode. Undefined where
 * that cannot be: then Node.js has set the mode itself, except of a terminal.
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
