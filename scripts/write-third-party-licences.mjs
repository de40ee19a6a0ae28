// Prints the licences of the packages that an npm tree has, for an image that
// ships them. Usage: node scripts/write-third-party-licences.mjs [FOLDER]
// FOLDER has a node_modules; its packages are those of node_modules/.package-lock.json.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const folder = process.argv[2] ?? ".";
const lock = JSON.parse(readFileSync(join(folder, "node_modules/.package-lock.json"), "utf8"));
const texts = Object.keys(lock.packages).sort().map(licenceOf);
process.stdout.write(`This image contains these packages.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`);

function licenceOf(path) {
  const place = join(folder, path);
  const { name, version, license } = JSON.parse(readFileSync(join(place, "package.json"), "utf8"));
  const files = readdirSync(place).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
  const parts = files.map((file) => readFileSync(join(place, file), "utf8").trimEnd());
  const text = parts.join("\n\n") || "(The package has no licence file.)";
  return `${name} ${version}: ${license ?? "no licence named"}\n\n${text}\n`;
}
