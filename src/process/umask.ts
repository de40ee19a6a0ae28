import { umask } from "node:process";

/**
 * Makes files with this mode while `make` runs. The mode of a socket must hold from the start:
 * a chmod afterwards would leave a moment in which others may connect.
 */
export function withFileMode(mode: number, make: () => void): void {
  const before = umask(0o777 & ~mode);
  try {
    make();
  } finally {
    umask(before);
  }
}
