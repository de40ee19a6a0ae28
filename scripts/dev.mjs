// Runs the sidecar and restarts it when a source file changes: `tsc --watch` writes dist/,
// `node --watch` follows it. Arguments go to `splitcache serve`.
import { spawn } from "node:child_process";
import process from "node:process";

const root = new URL("..", import.meta.url);
const children = [];
const start = (args, stdio) => {
  const child = spawn(process.execPath, args, { cwd: root, stdio });
  children.push(child);
  child.once("exit", (code) => stop(code ?? 1));
  return child;
};
function stop(code) {
  for (const child of children) child.kill();
  process.exitCode ??= code;
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop(0));

const compiler = start(
  ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--watch", "--preserveWatchOutput"],
  ["ignore", "pipe", "inherit"],
);
let isStarted = false;
compiler.stdout.on("data", (text) => {
  process.stdout.write(text);
  // The first build is there, with or without errors.
  if (isStarted || !String(text).includes("Watching for file changes")) return;
  isStarted = true;
  start(["--watch", "--max-semi-space-size=2", "dist/main.js", "serve", ...process.argv.slice(2)], "inherit");
});
