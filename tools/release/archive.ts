import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

export interface ArchiveOptions {
  /** The folder that the names are in. */
  readonly folder: string;
  readonly names: readonly string[];
  /** The folder that the archive unpacks to; without it, into the current one. */
  readonly prefix?: string;
  readonly epochSeconds: number;
}

const ARCHIVE_BYTES_MAX = 2 ** 28;

/** Writes a .tar.gz whose bytes depend on names and contents alone. Needs GNU tar. */
export function writeArchive(path: string, options: ArchiveOptions): void {
  const { folder, names, prefix, epochSeconds } = options;
  const args = [
    "--create",
    "--format=ustar",
    "--sort=name",
    `--mtime=@${epochSeconds}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=u=rwX,go=rX",
    ...(prefix === undefined ? [] : [`--transform=s,^,${prefix}/,`]),
    `--directory=${folder}`,
    "--",
    ...names,
  ];
  const archive = execFileSync("tar", args, {
    maxBuffer: ARCHIVE_BYTES_MAX,
    stdio: ["ignore", "pipe", "pipe"],
  });
  // The header that zlib writes has neither a name nor a time.
  writeFileSync(path, gzipSync(archive, { level: 9 }));
}
