import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "..");

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

/** A running example whose lines can be waited for, in order. */
export interface Example {
  /** The next line that matches; rejects if the program ends first. */
  line(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Ends with SIGTERM; resolves to the exit code. */
  stop(): Promise<number | null>;
  readonly end: Promise<{ readonly code: number | null; readonly lines: readonly string[] }>;
}

export function runExample({ command: [file, ...first] }: Language, args: readonly string[]): Example {
  const child = spawn(file, [...first, ...args], { env: behindProxy(), stdio: ["ignore", "pipe", "pipe"] });
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
    for (;;) {
      const next = lines()[read];
      if (next !== undefined) {
        read += 1;
        const match = next.match(pattern);
        if (match !== null) return match;
      } else if (child.exitCode !== null) {
        throw new Error(`the example ended without ${pattern}: ${output}${errors}`);
      } else {
        await Promise.race([once(child.stdout, "data"), end]);
      }
    }
  }
  const stop = () => {
    child.kill("SIGTERM");
    return end.then(({ code }) => code);
  };
  return { line, stop, end };
}

/** As on a machine behind a proxy. Nobody listens there: an example that sends a call to it fails. */
function behindProxy(): NodeJS.ProcessEnv {
  const { no_proxy, NO_PROXY, no_grpc_proxy, ...env } = process.env;
  const proxy = "http://127.0.0.1:9";
  // The last one is what gRPC for Java reads.
  return { ...env, grpc_proxy: proxy, http_proxy: proxy, https_proxy: proxy, GRPC_PROXY_EXP: "127.0.0.1:9" };
}

/** A TCP address that leads each new connection to the next of some addresses, in turn. */
export interface Proxy {
  readonly address: string;
  /** Breaks all connections. */
  cut(): void;
  close(): Promise<void>;
}

export async function startProxy(ports: readonly number[]): Promise<Proxy> {
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((inbound) => {
    const port = ports[connections % ports.length];
    connections += 1;
    const outbound = connect(port ?? 0, "127.0.0.1");
    for (const [from, to] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the proxy has no port");
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  const close = async () => {
    server.close();
    cut();
    await once(server, "close");
  };
  return { address: `127.0.0.1:${bound.port}`, cut, close };
}
