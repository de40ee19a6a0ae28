import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { buildProgram, type Program } from "../support/program/build-program.js";
import { ROOT } from "./chart.js";

const hasSystemd = spawnSync("systemd-analyze", ["--version"], { stdio: "ignore" }).status === 0;
const UNIT = `${ROOT}deploy/systemd/splitcache.service`;

let program: Program;
let folder: string;
beforeAll(async () => {
  program = await buildProgram();
});
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "splitcache-hosts-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await program.remove();
});

describe("the compose file", () => {
  interface Service {
    readonly command: readonly string[];
    readonly environment: Readonly<Record<string, string>>;
    readonly ports: readonly string[];
    readonly read_only: boolean;
    readonly cap_drop: readonly string[];
  }
  const service: Service = parse(readFileSync(`${ROOT}deploy/compose/compose.yaml`, "utf8")).services
    .splitcache;

  it("sets variables that the program knows, with valid values", async () => {
    const { code, stderr } = await program.run([...service.command, "--print-config"], service.environment);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  it("publishes the port of metrics on this machine alone, and gives no rights", () => {
    const port = service.environment["SPLITCACHE_HTTP"]?.split(":")[1];
    expect(service.ports).toEqual([`127.0.0.1:${port}:${port}`]);
    expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"] });
  });
});

describe("the systemd unit", () => {
  it.skipIf(!hasSystemd)("is valid for systemd, and a wrong key in it is not", () => {
    // systemd warns of unknown keys on standard error, and of a program that is not there.
    const unit = readFileSync(UNIT, "utf8").replace("/usr/bin/node", process.execPath);
    const path = join(folder, "splitcache.service");
    writeFileSync(path, unit);
    expect(spawnSync("systemd-analyze", ["verify", path], { encoding: "utf8" })).toMatchObject({
      status: 0,
      stderr: "",
    });
    writeFileSync(path, unit.replace("ProtectSystem", "ProtectSytem"));
    expect(spawnSync("systemd-analyze", ["verify", path], { encoding: "utf8" }).stderr).toContain(
      "ProtectSytem",
    );
  });

  it("names flags that Node.js and the program know", async () => {
    const [, node = "", command = ""] =
      /^ExecStart=\/usr\/bin\/node (.*?) \/opt\/splitcache\/dist\/main\.js (.*)$/m.exec(
        readFileSync(UNIT, "utf8"),
      ) ?? [];
    expect(spawnSync(process.execPath, [...node.split(" "), "--version"])).toMatchObject({ status: 0 });
    const config = join(folder, "etc/splitcache/splitcache.yaml");
    mkdirSync(join(config, ".."), { recursive: true });
    copyFileSync(join(import.meta.dirname, "host-config.yaml"), config);
    const words = command.replace("/etc/splitcache", join(folder, "etc/splitcache")).split(" ");
    const { code, stderr } = await program.run([...words, "--print-config"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });
});
