import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "..");

/** Shorter than a test's own limit, so that the failure shows what the program printed. */
const LINE_TIMEOUT_MS = 50_000;
const OUTPUT_SHOWN_MAX = 2_000;

export interface Language {
  readonly name: string;
  /** The program, as build.sh leaves it. */
  readonly command: readonly [string, ...string[]];
}

export const LANGUAGES: readonly Language[] = [
  {
    name: "python",
    command: [join(FOLDER, "python/.venv/bin/python"), join(FOLDER, "python/splitcache_example.py")],
  },
  { name: "go", command: [join(FOLDER, "go/bin/splitcache-example")] },
  { name: "java", command: ["java", "-jar", join(FOLDER, "java/target/splitcache-example.jar")] },
];

/** Whether build.sh has built it. In CI all are needed. */
export function isBuilt({ command }: Language): boolean {
  return process.env["CI"] !== undefined || existsSync(command.at(-1) ?? "");
}

/** Another one that is built, if there is any. */
export function another(language: Language): Language {
  const index = LANGUAGES.indexOf(language);
  const others = [...LANGUAGES.slice(index + 1), ...LANGUAGES.slice(0, index)];
  return others.find(isBuilt) ?? language;
}

/** A running example whose lines can be waited for, in order. */
export interface Example {
  /** The next line that matches; rejects if the program ends first, or prints none for too long. */
  line(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Writes a line to its standard input; resolves to the next line that matches. */
  ask(command: string, pattern: RegExp): Promise<RegExpMatchArray>;
  /** Ends with SIGTERM; resolves to the exit code. */
  stop(): Promise<number | null>;
  readonly end: Promise<{ readonly code: number | null; readonly lines: readonly string[] }>;
}

export function runExample({ command: [file, ...first] }: Language, args: readonly string[]): Example {
  const child = spawn(file, [...first, ...args], { env: behindProxy(), stdio: "pipe" });
  // A program that ends without reading it is not an error.
  child.stdin.on("error", () => {});
  let output = "";
  let errors = "";
  let read = 0;
  child.stdout.on("data", (text: Buffer) => {
    output += text;
  });
  child.stderr.on("data", (text: Buffer) => {
    errors += text;
  });
  const lines = () => output.split("\n").slice(0, -1);
  const end = once(child, "close").then(([code]) => {
    if (errors !== "") process.stderr.write(errors);
    return { code: code as number | null, lines: lines() };
  });
  async function line(pattern: RegExp): Promise<RegExpMatchArray> {
    const limit = AbortSignal.timeout(LINE_TIMEOUT_MS);
    for (;;) {
      const next = lines()[read];
      if (next !== undefined) {
        read += 1;
        const match = next.match(pattern);
        if (match !== null) return match;
      } else if (child.exitCode !== null) {
        throw new Error(`the example ended without ${pattern}: ${output}${errors}`);
      } else {
        await Promise.race([once(child.stdout, "data", { signal: limit }), end]).catch((error: unknown) => {
          throw limit.aborted ? new Error(`no line ${pattern}: ${tail(output)}${tail(errors)}`) : error;
        });
      }
    }
  }
  const ask = (command: string, pattern: RegExp) => {
    child.stdin.write(`${command}\n`);
    return line(pattern);
  };
  const stop = () => {
    child.kill("SIGTERM");
    return end.then(({ code }) => code);
  };
  return { line, ask, stop, end };
}

function tail(output: string): string {
  return output.slice(-OUTPUT_SHOWN_MAX);
}

/** As on a machine behind a proxy. Nobody listens there: an example that sends a call to it fails. */
function behindProxy(): NodeJS.ProcessEnv {
  const { no_proxy, NO_PROXY, no_grpc_proxy, ...env } = process.env;
  const proxy = "http://127.0.0.1:9";
  // The last one is what gRPC for Java reads.
  return { ...env, grpc_proxy: proxy, http_proxy: proxy, https_proxy: proxy, GRPC_PROXY_EXP: "127.0.0.1:9" };
}
