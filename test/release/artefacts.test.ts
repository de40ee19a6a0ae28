import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { release } from "../../tools/release/release.js";
import { freePort } from "../support/program/free-port.js";

import { registryHosts } from "../tidy/checks.js";
import { lockOf, productionPackages } from "./locked-packages.js";
import { type Clone, cloneOf, NOTES, ROOT, releasableClone, VERSION } from "./scratch-clone.js";
import { sh } from "./shell.js";

const HELM = process.env["HELM"] || "helm";
const PYTHON = process.env["PYTHON"] || "python3";

/** A release, and the artefacts that somebody else builds of its tag. */
describe("a release", () => {
  let work: string;
  let clone: Clone;
  let before: string;
  let again: string;
  let artefacts: string;
  let rebuilt: string;

  beforeAll(async () => {
    work = mkdtempSync(join(tmpdir(), "splitcache-test-"));
    clone = releasableClone(join(work, "clone"));
    before = clone.git(["rev-parse", "HEAD"]);
    await release(clone.io);
    again = join(work, "somewhere/else");
    cloneOf(clone.root, again);
    // Another folder, user's mask, time zone and language.
    rebuilt = sh(again, "umask 077 && npm run release --silent -- --dry-run", {
      TZ: "Asia/Kolkata",
      LC_ALL: "C.UTF-8",
    });
    artefacts = join(again, "dist-release");
  });

  afterAll(() => {
    rmSync(work, { recursive: true });
  });

  it("is one commit that changes the changelog, and its tag", () => {
    const { git } = clone;
    expect(git(["rev-parse", "HEAD^"])).toBe(before);
    expect(git(["rev-parse", `v${VERSION}^{}`])).toBe(git(["rev-parse", "refs/heads/main"]));
    expect(git(["diff", "--name-only", "HEAD^"])).toBe("CHANGELOG.md");
    expect(git(["status", "--porcelain"])).toBe("");
    expect(git(["cat-file", "-t", `v${VERSION}`])).toBe("tag");
    expect(git(["tag", "--list", "--format=%(contents)", `v${VERSION}`]).trim()).toBe(
      `splitcache ${VERSION}\n\n${NOTES}`,
    );
    expect(readFileSync(join(clone.root, "CHANGELOG.md"), "utf8")).toContain(
      `## [Unreleased]\n\n## [${VERSION}] - 2030-02-03\n\n${NOTES}\n`,
    );
    expect(readFileSync(join(artefacts, "RELEASE_NOTES.md"), "utf8")).toContain(
      `# splitcache ${VERSION}\n\n${NOTES}\n`,
    );
  });

  it("can be built again from its tag, byte by byte", () => {
    const sums = (root: string) => readFileSync(join(root, "dist-release/SHA256SUMS"), "utf8").split("\n");
    expect(sums(again)).toEqual(sums(clone.root));
    expect(rebuilt).toContain(`v${VERSION} is this commit`);
    expect(rebuilt).not.toContain("refused");
  });

  it("has a checksum of each file", () => {
    sh(artefacts, "sha256sum --check --strict --quiet SHA256SUMS");
    const summed = readFileSync(join(artefacts, "SHA256SUMS"), "utf8").trim().split("\n");
    const names = readdirSync(artefacts).filter((name) => name !== "SHA256SUMS");
    expect(summed.map((line) => line.slice(66))).toEqual(names.sort());
  });

  it("has a package with the program, its client and its types", async () => {
    const folder = join(work, "consumer");
    mkdirSync(folder);
    const locked = lockOf(ROOT).packages["node_modules/@grpc/grpc-js"]?.version;
    const options = "--prefer-offline --ignore-scripts --no-audit --no-fund --silent";
    sh(
      folder,
      `npm install ${options} ${join(artefacts, `splitcache-${VERSION}.tgz`)} @grpc/grpc-js@${locked}`,
    );
    const program = join(folder, "node_modules/.bin/splitcache");
    expect(sh(folder, `${program} --version`)).toBe(VERSION);
    const address = `127.0.0.1:${await freePort()}`;
    const example = /<!-- example:typescript -->\n```ts\n(.*?)```/s.exec(
      readFileSync(join(ROOT, "docs/clients.md"), "utf8"),
    )?.[1];
    writeFileSync(join(folder, "example.mts"), example?.replace("127.0.0.1:50051", address) ?? "");
    const strict = "--strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --verbatimModuleSyntax";
    sh(
      folder,
      `${join(ROOT, "node_modules/.bin/tsc")} --module nodenext --target es2023 ${strict} example.mts`,
    );
    const sidecar = spawn(program, ["serve", "--listen", address, "--http", "off"], { stdio: "ignore" });
    try {
      sh(folder, `${program} wait --address ${address} --timeout 30s`);
      expect(sh(folder, "node example.mjs")).toBe("stored, then read: {}");
    } finally {
      sidecar.kill();
      await once(sidecar, "exit");
    }
    expect(readdirSync(join(folder, "node_modules/splitcache")).sort()).toEqual(
      ["LICENSE", "README.md", "dist", "package.json", "proto"].sort(),
    );
    sh(folder, "test -s node_modules/splitcache/proto/splitcache/v1/event_cache_service.proto");
  });

  it("has the wheels of the Python client and of Synapse's module", () => {
    const wheels = ["client", "synapse"]
      .map((name) => join(artefacts, `splitcache_${name}-${VERSION}-py3-none-any.whl`))
      .join(" ");
    sh(work, `${PYTHON} -m venv --without-pip venv`);
    const pip = `${PYTHON} -m pip --python venv/bin/python --disable-pip-version-check`;
    sh(work, `${pip} install --quiet ${wheels}`);
    const client = sh(work, `${pip} show --files splitcache-client`);
    expect(client).toContain(`Version: ${VERSION}\n`);
    for (const name of ["/py.typed", "/gen/event_cache_service_pb2.pyi", "/LICENSE"])
      expect(client).toContain(name);
    expect(
      sh(work, 'venv/bin/python -c "import splitcache_client; print(splitcache_client.SplitCache)"'),
    ).toContain("splitcache_client.client.SplitCache");
    const module = sh(work, `${pip} show --files splitcache-synapse`);
    expect(module).toContain(`Version: ${VERSION}\n`);
    for (const name of ["/py.typed", "/known_functions.json", "/LICENSE"]) expect(module).toContain(name);
  });

  it.skipIf(!hasSynapse())("has a wheel whose module can be imported (needs Synapse in PYTHON)", () => {
    const packages = "import sysconfig; print(sysconfig.get_path('purelib'))";
    sh(work, `${PYTHON} -c "${packages}" > "$(venv/bin/python -c "${packages}")/synapse.pth"`);
    const module = "from splitcache_synapse import SplitcacheModule, __file__ as path; print(path)";
    expect(sh(work, `venv/bin/python -c "${module}"`)).toContain(join(work, "venv"));
  });

  it("has a bill of materials with exactly the packages of production in the lock file", () => {
    const { metadata, components } = JSON.parse(
      readFileSync(join(artefacts, `splitcache-${VERSION}.cdx.json`), "utf8"),
    ) as Bom;
    expect(metadata.component).toMatchObject({ name: "splitcache", version: VERSION });
    const listed = components.map(({ name, version }) => `${name}@${version}`);
    expect(listed.sort()).toEqual(productionPackages(ROOT));
    expect(components.filter(({ licenses = [] }) => licenses.length === 0)).toEqual([]);
  });

  it("has the contract, which buf builds", () => {
    const folder = join(work, "proto");
    mkdirSync(folder);
    sh(folder, `tar -xzf ${join(artefacts, `splitcache-proto-${VERSION}.tar.gz`)}`);
    const unpacked = join(folder, `splitcache-proto-${VERSION}`);
    const buf = join(ROOT, "node_modules/.bin/buf");
    expect(sh(unpacked, `${buf} lint && ${buf} ls-files`).split("\n").sort()).toEqual([
      "proto/google/rpc/error_details.proto",
      "proto/google/rpc/status.proto",
      "proto/splitcache/admin/v1/admin_service.proto",
      "proto/splitcache/v1/event_cache_service.proto",
    ]);
    sh(unpacked, `${buf} build`);
  });

  it("has all that the Dockerfile copies", () => {
    const folder = join(work, "image");
    mkdirSync(folder);
    sh(folder, `tar -xzf ${join(artefacts, `splitcache-image-${VERSION}.tar.gz`)}`);
    const copied = [
      ...readFileSync(join(folder, "Dockerfile"), "utf8").matchAll(/^COPY (?!--from)(.*) \S+$/gm),
    ];
    const sources = copied.flatMap(([, words = ""]) => words.split(" "));
    expect(sources).toContain("package-lock.json");
    for (const source of sources) sh(folder, `test -e ${source} && diff -r ${source} ${join(again, source)}`);
  });

  it.skipIf(!hasHelm())("has the chart, which helm renders with the version (needs helm)", () => {
    const chart = join(artefacts, `splitcache-chart-${VERSION}.tgz`);
    expect(sh(work, `${HELM} show chart ${chart}`)).toMatch(new RegExp(`^version: ${VERSION}$`, "m"));
    sh(work, `tar -xzf ${chart}`);
    const folder = join(work, "splitcache");
    sh(work, `diff -r ${folder} ${join(again, "deploy/helm/splitcache")}`);
    const rendered = sh(
      work,
      `${HELM} template cache ${chart} --kube-version 1.33.0 -f ${folder}/examples/service-memory.yaml`,
    );
    expect(rendered).toContain(`image: "splitcache:${VERSION}"`);
  });

  it("names no package registry", () => {
    const files = readdirSync(artefacts).filter((name) => /\.(json|md)$/.test(name));
    const texts = files.map((name) => [name, readFileSync(join(artefacts, name), "utf8")] as const);
    const manifest = sh(artefacts, `tar -xzOf splitcache-${VERSION}.tgz package/package.json`);
    expect(registryHosts(new Map([...texts, ["package.json", manifest]]))).toEqual([]);
  });
});

function hasHelm(): boolean {
  return spawnSync(HELM, ["version"]).status === 0;
}

function hasSynapse(): boolean {
  return spawnSync(PYTHON, ["-c", "import synapse"]).status === 0;
}

interface Bom {
  readonly metadata: { readonly component: object };
  readonly components: readonly {
    readonly name: string;
    readonly version: string;
    readonly licenses?: unknown[];
  }[];
}
