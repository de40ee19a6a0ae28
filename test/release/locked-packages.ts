import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The lock file of a repository. */
export function lockOf(root: string): Lock {
  return JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as Lock;
}

/** What is reached from the program's dependencies, as Node.js looks packages up. */
export function productionPackages(root: string): string[] {
  const { packages } = lockOf(root);
  const reached = new Set<string>();
  const visit = (path: string) => {
    const { dependencies, optionalDependencies } = packages[path] ?? {};
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const found = placesOf(path, name).find((place) => packages[place] !== undefined);
      if (found === undefined || reached.has(found)) continue;
      reached.add(found);
      visit(found);
    }
  };
  visit("");
  const named = [...reached].map(
    (path) => `${path.split("node_modules/").at(-1)}@${packages[path]?.version}`,
  );
  return [...new Set(named)].sort();
}

/** Where a package that is at a path finds another one: nearest first. */
function placesOf(path: string, name: string): string[] {
  const parts = path === "" ? [] : path.split("/node_modules/");
  const above = parts.map(
    (_, index) => `${parts.slice(0, parts.length - index).join("/node_modules/")}/node_modules/${name}`,
  );
  return [...above, `node_modules/${name}`];
}
