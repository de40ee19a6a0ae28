import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type ArtefactOptions, buildArtefacts } from "./artefacts.js";
import { notesOf, withRelease } from "./changelog.js";
import { type Git, gitIn } from "./git.js";
import { readState, readVersionFiles } from "./read-state.js";
import { type ReleaseState, refusals, tagOf } from "./refusals.js";
import { VERSION, versionOf, withVersion } from "./versions.js";

export interface ReleaseIo {
  /** The repository. */
  readonly root: string;
  readonly today: () => Date;
  print(line: string): void;
  /** Runs the checks of a commit; throws if one fails. */
  check(): void;
}

/** Git keeps no change of this release if this is thrown. */
export class ReleaseRefused extends Error {}

const ARTEFACTS = "dist-release";

/** Releases the version of package.json: changelog, artefacts, commit and tag. Pushes nothing. */
export async function release(io: ReleaseIo): Promise<void> {
  const git = gitIn(io.root);
  const state = readState(io.root, git);
  const reasons = refusals(state);
  if (reasons.length > 0) throw new ReleaseRefused(reasons.join("\n"));
  io.check();
  const version = versionOf(state.files);
  const changelog = withRelease(state.changelog, version, io.today().toISOString().slice(0, 10));
  const commit = commitChangelog(git, state.head, changelog, `Release ${version}`);
  const notes = notesOf(changelog, version);
  const names = await buildArtefacts(artefactsOf(io.root, commit, version, notes));
  // The tag first: a signer may fail, and the branch must not have moved then.
  git(["tag", "--annotate", "--cleanup=verbatim", "--file=-", tagOf(version), commit], {
    input: `splitcache ${version}\n\n${notes}\n`,
  });
  try {
    git(["merge", "--ff-only", "--quiet", commit]);
  } catch (failure) {
    git(["tag", "--delete", tagOf(version)]);
    throw failure;
  }
  printArtefacts(io, names);
  io.print(`Committed and tagged as ${tagOf(version)}. To publish it:`);
  io.print(`  git push --atomic origin ${state.branch} ${tagOf(version)}`);
  io.print(`  and attach the files of ${ARTEFACTS} to the tag.`);
}

/** Prints what `release` would do and builds the artefacts of the commit, without a commit or a tag. */
export async function dryRun(io: ReleaseIo): Promise<void> {
  const state = readState(io.root, gitIn(io.root));
  const version = versionOf(state.files);
  const notes = notesOf(state.changelog, version);
  const isReleased = state.tags.get(tagOf(version)) === state.head;
  const reasons = isReleased ? [] : refusals(state);
  io.print(isReleased ? `${tagOf(version)} is this commit: building its artefacts again.` : planOf(state));
  const names = await buildArtefacts(artefactsOf(io.root, state.head, version, notes));
  printArtefacts(io, names);
  for (const reason of reasons) io.print(`A release would be refused: ${reason}`);
}

/** Writes a version into package.json and all files that have a copy of it. */
export function setVersion(io: ReleaseIo, version: string): void {
  if (!VERSION.test(version))
    throw new ReleaseRefused(`--set-version takes three numbers, X.Y.Z: ${version}`);
  for (const [path, text] of withVersion(readVersionFiles(io.root, gitIn(io.root)), version)) {
    writeFileSync(join(io.root, path), text);
    io.print(`${path}: ${version}`);
  }
}

function planOf({ head, branch, files, changelog }: ReleaseState): string {
  const version = versionOf(files);
  return [
    `Would check, commit and tag ${tagOf(version)} on ${branch ?? "no branch"}, after ${head}.`,
    "Would move these notes of CHANGELOG.md to a part of their own:",
    "",
    notesOf(changelog, version).replace(/^(?=.)/gm, "  "),
    "",
  ].join("\n");
}

/** Makes the commit of a new changelog without touching the branch, the index or the working tree. */
function commitChangelog(git: Git, head: string, changelog: string, message: string): string {
  const blob = git(["hash-object", "-w", "--stdin"], { input: changelog });
  const entries = git(["ls-tree", head]).replace(/^(\S+ blob) \w+(\tCHANGELOG\.md)$/m, `$1 ${blob}$2`);
  const tree = git(["mktree"], { input: `${entries}\n` });
  return git(["commit-tree", tree, "-p", head, "-m", message]);
}

function artefactsOf(root: string, commit: string, version: string, notes: string): ArtefactOptions {
  return { root, commit, version, notes, target: join(root, ARTEFACTS) };
}

function printArtefacts({ root, print }: ReleaseIo, names: readonly string[]): void {
  const folder = join(root, ARTEFACTS);
  print(`Artefacts in ${relative(root, folder)}:`);
  for (const name of names) print(`  ${name}`);
}
