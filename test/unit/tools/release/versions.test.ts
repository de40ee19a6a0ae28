import { describe, expect, it } from "vitest";
import {
  compareVersions,
  type Files,
  mayHaveVersion,
  versionErrors,
  versionOf,
  withVersion,
} from "../../../../tools/release/versions.js";

const lockOf = (version: string) =>
  `{\n  "name": "splitcache",\n  "version": "${version}",\n  "packages": {\n    "": {\n      "name": "splitcache",\n      "version": "${version}"\n    },\n    "node_modules/yaml": {\n      "version": "0.1.0"\n    }\n  }\n}`;

function filesOf(version: string, others: Readonly<Record<string, string>> = {}): Files {
  const files = {
    "package.json": `{\n  "name": "splitcache",\n  "version": "${version}"\n}`,
    "package-lock.json": lockOf(version),
    "clients/node/package.json": `{\n  "name": "@splitcache/client",\n  "version": "${version}"\n}`,
    "clients/python/pyproject.toml": `[project]\nname = "splitcache-client"\nversion = "${version}"\nx = "0.1.0"`,
    "clients/synapse/pyproject.toml": `[project]\nname = "splitcache-synapse"\nversion = "${version}"\nx = "0.1.0"\ndependencies = ["splitcache-client==${version}"]`,
    "deploy/helm/splitcache/Chart.yaml": `apiVersion: v2\nversion: ${version}\nappVersion: "${version}"`,
    "deploy/manifests/a.yaml": `app.kubernetes.io/version: "${version}"\nhelm.sh/chart: splitcache-${version}\nimage: splitcache:${version}\nother: 0.1.0`,
    ...others,
  };
  return new Map(Object.entries(files));
}

describe("the version", () => {
  it("comes from package.json", () => {
    expect(versionOf(filesOf("0.1.0"))).toBe("0.1.0");
    expect(versionErrors(filesOf("0.1.0"))).toEqual([]);
  });

  it.each(["", "1.2", "1.2.3-rc.1", "v1.2.3", "01.2.3"])("must be three numbers, not %j", (version) => {
    expect(() => versionOf(filesOf(version))).toThrow("the version must be three numbers, X.Y.Z");
  });

  it.each([
    ["package-lock.json", lockOf("0.2.0")],
    ["clients/python/pyproject.toml", 'name = "splitcache-client"\nversion = "0.2.0"'],
    ["clients/synapse/pyproject.toml", 'name = "splitcache-synapse"\nversion = "0.2.0"'],
    ["clients/synapse/pyproject.toml", 'dependencies = ["splitcache-client==0.2.0"]'],
    ["deploy/helm/splitcache/Chart.yaml", "version: 0.1.0\nappVersion: 0.2.0"],
    ["docs/operations.md", "`docker build -t splitcache:0.2.0 .`"],
  ])("is the same in %s", (path, text) => {
    expect(versionErrors(filesOf("0.1.0", { [path]: text }))[0]).toBe(
      `${path}: the version is 0.2.0, not 0.1.0 as in package.json`,
    );
  });

  it("must be found in each file that has to have it", () => {
    expect(versionErrors(filesOf("0.1.0", { "clients/synapse/pyproject.toml": "" }))).toEqual([
      "clients/synapse/pyproject.toml: no version was found",
    ]);
  });

  it("is set in all places, and nowhere else", () => {
    const changed = withVersion(filesOf("0.1.0"), "0.2.0");
    const expected = filesOf("0.2.0");
    expect([...changed.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [path, text] of changed) {
      expect(text, path).toBe(expected.get(path));
      expect(mayHaveVersion(path)).toBe(true);
    }
    expect(withVersion(expected, "0.2.0").size).toBe(0);
  });

  it("is ordered by its numbers", () => {
    expect(compareVersions("0.9.0", "0.10.0")).toBeLessThan(0);
    expect(compareVersions("1.0.0", "0.10.0")).toBeGreaterThan(0);
    expect(compareVersions("1.2.3", "1.2.3")).toBe(0);
  });
});
