/**
 * Puts each rule of the PostgreSQL log and of the tier out of force in the code, and expects the test that is named to
 * fail. Changes the files of the working tree, one after the other, and puts them back; needs PostgreSQL.
 * Arguments select rules, such as M2, or words of what is broken. With --check it only checks that each mutant
 * still applies to the code.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { CACHE_MUTANTS } from "./mutants/cache-and-tier.mjs";
import { LOG_MUTANTS } from "./mutants/postgres-log.mjs";

/** `change`: the text in the file and its replacement, in pairs. `test`: a file and a part of a test's name. */
const MUTANTS = [...LOG_MUTANTS, ...CACHE_MUTANTS];

const isCheck = process.argv.includes("--check");
const wanted = process.argv.slice(2);
const selected = MUTANTS.filter(
  ({ rule, what }) => wanted.length === 0 || wanted.some((word) => rule === word || what.includes(word)),
);
/** Returns a file's path, its text and its broken text. Throws if the text to break is not in it exactly once. */
function broken({ file, change }) {
  const text = readFileSync(file, "utf8");
  let mutant = text;
  for (let at = 0; at < change.length; at += 2) {
    if (mutant.split(change[at]).length !== 2) throw new Error(`${file} must contain once: ${change[at]}`);
    mutant = mutant.replace(change[at], () => change[at + 1]);
  }
  return { path: file, text, mutant };
}

// All are checked before the first one runs: a change of the code must not leave the rest unproven.
for (const mutant of MUTANTS) broken(mutant);
if (isCheck) process.exit(0);

let caught = 0;
for (const selectedMutant of selected) {
  const { rule, what, test } = selectedMutant;
  const { path, text, mutant } = broken(selectedMutant);
  const restore = () => writeFileSync(path, text);
  process.once("exit", restore);
  writeFileSync(path, mutant);
  const [testFile, name] = test;
  const { status } = spawnSync("npx", ["vitest", "run", testFile, "-t", name], { stdio: "ignore" });
  restore();
  process.off("exit", restore);
  if (status !== 0) caught += 1;
  console.log(`${status === 0 ? "SURVIVED" : "caught"}: ${rule}, ${what} (${name})`);
}
console.log(`${caught} caught, ${selected.length - caught} survived`);
process.exitCode = caught === selected.length ? 0 : 1;
