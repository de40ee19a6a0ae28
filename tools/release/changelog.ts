/** CHANGELOG.md in the form of Keep a Changelog: one part for each version, the newest first. */

const UNRELEASED = "Unreleased";
const UPGRADE_NOTES = "### Upgrade notes";

/** The text under the heading of a version, or of "Unreleased"; undefined if there is no such heading. */
export function partOf(changelog: string, name: string): string | undefined {
  const lines = changelog.split("\n");
  const start = lines.findIndex((line) => isHeadingOf(line, name));
  if (start === -1) return undefined;
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith("## "));
  return lines
    .slice(start + 1, length === -1 ? undefined : start + 1 + length)
    .join("\n")
    .trim();
}

/** The notes under "Unreleased", or the part of the version if it is released already. */
export function notesOf(changelog: string, version: string): string {
  return partOf(changelog, version) ?? partOf(changelog, UNRELEASED) ?? "";
}

/** The changelog with "Unreleased" as the part of a version, and an empty "Unreleased" before it. */
export function withRelease(changelog: string, version: string, date: string): string {
  const heading = `## [${UNRELEASED}]`;
  const lines = changelog.split("\n");
  const at = lines.findIndex((line) => isHeadingOf(line, UNRELEASED));
  if (at === -1) throw new Error(`CHANGELOG.md has no heading "${heading}"`);
  return lines.toSpliced(at, 1, heading, "", `## [${version}] - ${date}`).join("\n");
}

/** Why this changelog cannot become the changelog of a version. */
export function changelogErrors(changelog: string, version: string): string[] {
  const notes = partOf(changelog, UNRELEASED);
  if (notes === undefined) return [`CHANGELOG.md has no heading "## [${UNRELEASED}]"`];
  if (!/^- /m.test(notes)) return [`CHANGELOG.md has no entry under "${UNRELEASED}"`];
  const errors: string[] = [];
  if (!hasUpgradeNotes(notes)) {
    errors.push(
      `CHANGELOG.md has no text under "${UPGRADE_NOTES}" of "${UNRELEASED}"; ` +
        'if an upgrade needs no step, write "Nothing to do."',
    );
  }
  if (partOf(changelog, version) !== undefined) errors.push(`CHANGELOG.md has a part "${version}" already`);
  return errors;
}

function isHeadingOf(line: string, name: string): boolean {
  return line === `## [${name}]` || line.startsWith(`## [${name}] `);
}

function hasUpgradeNotes(notes: string): boolean {
  const lines = notes.split("\n");
  const start = lines.indexOf(UPGRADE_NOTES);
  if (start === -1) return false;
  const next = lines.slice(start + 1).find((line) => line.trim() !== "");
  return next !== undefined && !next.startsWith("#");
}
