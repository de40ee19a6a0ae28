import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeArchive } from "./archive.js";
import { gitIn } from "./git.js";
import { reproducibleBom, withoutDevelopment } from "./sbom.js";

export interface ArtefactOptions {
  /** The repository. Its node_modules has the compiler. */
  readonly root: string;
  /** The commit that is built: nothing else of the working tree gets into an artefact. */
  readonly commit: string;
  readonly version: string;
  /** The changelog's part of the version. */
  readonly notes: string;
  /** The folder that is written; what it had before is removed. */
  readonly target: string;
}

/** One build, with the commit's files in a folder of their own. */
interface Build {
  readonly stage: string;
  readonly target: string;
  readonly version: string;
  readonly epochSeconds: number;
  run(program: string, args: readonly string[], cwd: string): Promise<string>;
}

const OUTPUT_BYTES_MAX = 2 ** 26;
const CHECKSUMS = "SHA256SUMS";

/** Builds all artefacts of a commit and returns their names. The same commit and tools make the same bytes. */
export async function buildArtefacts(options: ArtefactOptions): Promise<string[]> {
  const { root, commit, version, notes, target } = options;
  // npm packs files with the modes that they have.
  const umask = process.umask(0o022);
  const work = mkdtempSync(join(tmpdir(), "splitcache-release-"));
  try {
    const stage = join(work, "splitcache");
    checkOut(root, commit, stage);
    const epochSeconds = Number(gitIn(root)(["show", "--no-patch", "--format=%ct", commit]));
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target, { recursive: true });
    const build: Build = { stage, target, version, epochSeconds, run: runWith(epochSeconds) };
    archiveSources(build);
    await allOf([packNpm(build), buildWheels(build), writeBom(build, work)]);
    writeFileSync(join(target, "RELEASE_NOTES.md"), await releaseNotes(build, notes));
    return writeChecksums(target);
  } finally {
    rmSync(work, { recursive: true });
    process.umask(umask);
  }
}

/** Waits for all, also if one fails: the others still use the folder. */
async function allOf(parts: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(parts)) if (result.status === "rejected") throw result.reason;
}

function checkOut(root: string, commit: string, stage: string): void {
  mkdirSync(stage);
  const files = execFileSync("git", ["archive", commit], { cwd: root, maxBuffer: OUTPUT_BYTES_MAX });
  execFileSync("tar", ["--extract", `--directory=${stage}`], { input: files });
  symlinkSync(join(root, "node_modules"), join(stage, "node_modules"));
}

function runWith(epochSeconds: number): Build["run"] {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds), TZ: "UTC", LC_ALL: "C" };
  return async (program, args, cwd) => {
    const { stdout } = await promisify(execFile)(program, args, { cwd, env, maxBuffer: OUTPUT_BYTES_MAX });
    return stdout;
  };
}

/** The program, the generated client and its types. The script `prepack` compiles them. */
async function packNpm({ stage, target, run }: Build): Promise<void> {
  const options = ["pack", "--silent", `--pack-destination=${target}`];
  await run("npm", options, stage);
  // The client's package, with a part of the same sources.
  copyFileSync(join(stage, "LICENSE"), join(stage, "clients/node/LICENSE"));
  await run("npm", options, join(stage, "clients/node"));
}

/** The Python client, and Synapse's module, which depends on it. PYTHON names the interpreter. */
async function buildWheels({ stage, target, run }: Build): Promise<void> {
  const projects = ["clients/python", "clients/synapse"].map((path) => join(stage, path));
  for (const project of projects) copyFileSync(join(stage, "LICENSE"), join(project, "LICENSE"));
  const options = ["--quiet", "--disable-pip-version-check", "--no-deps", `--wheel-dir=${target}`];
  await run(process.env["PYTHON"] || "python3", ["-m", "pip", "wheel", ...options, ...projects], stage);
}

async function writeBom({ stage, target, version, epochSeconds, run }: Build, work: string): Promise<void> {
  // npm names the bill's program after the folder.
  const folder = join(work, "bom/splitcache");
  mkdirSync(folder, { recursive: true });
  for (const name of ["package.json", "package-lock.json"])
    writeFileSync(join(folder, name), withoutDevelopment(readFileSync(join(stage, name), "utf8")));
  const options = ["--package-lock-only", "--sbom-format=cyclonedx", "--sbom-type=application"];
  const bom = await run("npm", ["sbom", ...options], folder);
  writeFileSync(join(target, `splitcache-${version}.cdx.json`), reproducibleBom(bom, epochSeconds));
}

function archiveSources({ stage, target, version, epochSeconds }: Build): void {
  const image = join(target, `splitcache-image-${version}.tar.gz`);
  writeArchive(image, { folder: stage, names: imageNames(stage), epochSeconds });
  const proto = `splitcache-proto-${version}`;
  const names = ["LICENSE", "buf.yaml", "proto"];
  writeArchive(join(target, `${proto}.tar.gz`), { folder: stage, names, prefix: proto, epochSeconds });
  const chart = join(target, `splitcache-chart-${version}.tgz`);
  writeArchive(chart, { folder: join(stage, "deploy/helm"), names: ["splitcache"], epochSeconds });
}

/** The Dockerfile and its build context, which .dockerignore lists. */
function imageNames(stage: string): string[] {
  const lines = readFileSync(join(stage, ".dockerignore"), "utf8").split("\n");
  const context = lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  return ["Dockerfile", ".dockerignore", ...context];
}

async function releaseNotes({ stage, version, run }: Build, notes: string): Promise<string> {
  const npm = (await run("npm", ["--version"], stage)).trim();
  return `# splitcache ${version}\n\n${notes}\n\nBuilt with Node.js ${process.version} and npm ${npm}.\n`;
}

/** Writes the checksums in the form of sha256sum, and returns all names. */
function writeChecksums(target: string): string[] {
  const names = readdirSync(target).sort();
  const lines = names.map((name) => {
    const digest = createHash("sha256")
      .update(readFileSync(join(target, name)))
      .digest("hex");
    return `${digest}  ${name}\n`;
  });
  writeFileSync(join(target, CHECKSUMS), lines.join(""));
  return [...names, CHECKSUMS];
}
