import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { type AttackResult, runAttack } from "./attack.js";

/** `npm run attack`: the long form, on the program that was built before. */
const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "1000000" },
    seconds: { type: "string", default: "7200" },
    program: { type: "string", default: "dist/main.js" },
  },
});
const seed = process.env["SPLITCACHE_ATTACK_SEED"] ?? randomBytes(4).toString("hex");
console.log(`SPLITCACHE_ATTACK_SEED=${seed}`);
// The sidecar ends with this process.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
const result = await runAttack({
  main: values.program,
  seed,
  callsMax: positive("calls", values.calls),
  secondsMax: positive("seconds", values.seconds),
  onFault: (text) => console.log(`FAULT: ${text}`),
  onProgress: (line) => console.log(line),
});
print(result);
process.exitCode = result.faults.length === 0 ? 0 : 1;

function positive(name: string, text: string): number {
  const number = Number(text);
  if (number > 0) return number;
  throw new Error(`--${name} must be a number above 0`);
}

function print({ ends, faults, faultsMore, ...figures }: AttackResult): void {
  for (const [kind, counts] of [...ends].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const parts = [...counts].map(([how, count]) => `${how} ${count}`);
    console.log(`${kind}: ${parts.join(", ")}`);
  }
  for (const [name, value] of Object.entries(figures)) console.log(`${name} ${Math.round(value)}`);
  if (faultsMore > 0) console.log(`FAULT: ${faultsMore} more`);
  console.log(faults.length === 0 ? "no fault" : `${faults.length + faultsMore} faults`);
}
