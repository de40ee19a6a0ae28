import { changelogErrors } from "./changelog.js";
import { compareVersions, type Files, versionErrors, versionOf } from "./versions.js";

/** All that decides whether a commit can be released. */
export interface ReleaseState {
  /** The commit that is checked out. */
  readonly head: string;
  /** Undefined if no branch is checked out. */
  readonly branch: string | undefined;
  /** Files with changes that are not committed, and files that Git does not know. */
  readonly uncommitted: readonly string[];
  /** The commit of each release tag. */
  readonly tags: ReadonlyMap<string, string>;
  /** The release tags of commits that precede `head`. */
  readonly earlierTags: readonly string[];
  /** The files that have a version. */
  readonly files: Files;
  readonly changelog: string;
  /** Packages that node_modules has in another version than package-lock.json. */
  readonly notAsLocked: readonly string[];
}

/** Paths that one message names. */
const NAMED_MAX = 5;

/** Why this state cannot be released; nothing if it can. */
export function refusals(state: ReleaseState): string[] {
  const version = versionOf(state.files);
  const reasons = [...versionErrors(state.files)];
  if (state.uncommitted.length > 0)
    reasons.push(`there are changes that are not committed: ${named(state.uncommitted)}`);
  if (state.branch === undefined) reasons.push("no branch is checked out");
  if (state.tags.has(tagOf(version)))
    reasons.push(`${version} is already tagged; set the next version with --set-version X.Y.Z`);
  for (const tag of state.earlierTags)
    if (compareVersions(version, tag.slice(1)) < 0) reasons.push(`${version} is older than ${tag}`);
  if (state.notAsLocked.length > 0)
    reasons.push(`node_modules differs from package-lock.json; run npm ci: ${named(state.notAsLocked)}`);
  return [...reasons, ...changelogErrors(state.changelog, version)];
}

export function tagOf(version: string): string {
  return `v${version}`;
}

function named(all: readonly string[]): string {
  const rest = all.length > NAMED_MAX ? `, and ${all.length - NAMED_MAX} more` : "";
  return all.slice(0, NAMED_MAX).join(", ") + rest;
}
