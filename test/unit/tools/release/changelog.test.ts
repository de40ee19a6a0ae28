import { describe, expect, it } from "vitest";
import { changelogErrors, notesOf, partOf, withRelease } from "../../../../tools/release/changelog.js";

const NOTES = "### Upgrade notes\n\nNothing to do.\n\n### Added\n\n- A thing.";
const changelogOf = (notes: string) =>
  `# Changelog\n\nIn a known form.\n\n## [Unreleased]\n\n${notes}\n\n## [0.1.0] - 2026-01-02\n\n- First.\n`;

describe("the changelog", () => {
  it("has a part for each version", () => {
    expect(partOf(changelogOf(NOTES), "Unreleased")).toBe(NOTES);
    expect(partOf(changelogOf(NOTES), "0.1.0")).toBe("- First.");
    expect(partOf(changelogOf(NOTES), "0.1")).toBeUndefined();
  });

  it("has what is released next under Unreleased, and what has been released under its version", () => {
    expect(notesOf(changelogOf(NOTES), "0.2.0")).toBe(NOTES);
    expect(notesOf(changelogOf(NOTES), "0.1.0")).toBe("- First.");
  });

  it("gets a part for a release, and Unreleased is empty", () => {
    const released = withRelease(changelogOf(NOTES), "0.2.0", "2026-03-04");
    expect(partOf(released, "Unreleased")).toBe("");
    expect(partOf(released, "0.2.0")).toBe(NOTES);
    expect(released).toContain("\n## [Unreleased]\n\n## [0.2.0] - 2026-03-04\n\n### Upgrade notes\n");
    expect(partOf(released, "0.1.0")).toBe("- First.");
  });

  it.each([
    ["without its heading", "# Changelog\n", ['CHANGELOG.md has no heading "## [Unreleased]"']],
    ["without an entry", changelogOf("### Added"), ['CHANGELOG.md has no entry under "Unreleased"']],
    ["without upgrade notes", changelogOf("- A thing."), [expect.stringContaining("### Upgrade notes")]],
    [
      "with empty upgrade notes",
      changelogOf("### Upgrade notes\n\n### Added\n\n- A thing."),
      [expect.stringContaining('write "Nothing to do."')],
    ],
    ["as it should be", changelogOf(NOTES), []],
  ])("%s can or cannot be released", (_, changelog, errors) => {
    expect(changelogErrors(changelog, "0.2.0")).toEqual(errors);
  });

  it("cannot get a second part for a version", () => {
    expect(changelogErrors(changelogOf(NOTES), "0.1.0")).toEqual(['CHANGELOG.md has a part "0.1.0" already']);
  });
});
