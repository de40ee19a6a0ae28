import { existsSync } from "node:fs";

/** Debian's Chromium, or another one at a usual place; undefined if there is none. */
export const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  existsSync,
);
