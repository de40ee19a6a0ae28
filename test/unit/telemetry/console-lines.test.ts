import { expect, it } from "vitest";
import { consoleText, formatted } from "../../../src/telemetry/console-lines.js";
import { createLogger } from "../../../src/telemetry/logger.js";

const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z /;
const LINE = '{"level":"info","time":"T","msg":"m"}\n';

/** What a log writes in a format, without the time. */
function written(write: (log: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line) };
  write(createLogger({ level: "debug", to: formatted(sink, "console", { isTerminal: false, env: {} }) }));
  expect(lines.join("")).toMatch(TIME);
  return lines.join("").replace(TIME, "");
}

it("writes level, message and fields in one line", () => {
  const text = written((log) => log.warn("it is full", { calls: 3, address: "127.0.0.1:1", why: "a b" }));
  expect(text).toBe('WARN  it is full calls=3 address=127.0.0.1:1 why="a b"\n');
});

it("writes the stack of an error and of its cause on lines of their own", () => {
  const error = new Error("outer", { cause: Object.assign(new Error("inner"), { code: "E1" }) });
  const text = written((log) => log.error("failed", { err: error }));
  expect(text.split("\n").slice(0, 2)).toEqual(["ERROR failed", "  error: Error: outer"]);
  expect(text).toContain("\n  cause: Error: inner (E1)\n    at ");
});

it("escapes what could move the cursor or reorder text", () => {
  const text = written((log) => log.info("new", { homeserver: "a\u001b[2J\u202eb\u009b" }));
  expect(text).toBe("INFO  new homeserver=a\\u{1b}[2J\\u{202e}b\\u{9b}\n");
});

it.each([
  ["json", true, LINE],
  ["auto", false, LINE],
  ["auto", true, "T \u001b[32mINFO \u001b[0m m\n"],
  ["console", true, "T \u001b[32mINFO \u001b[0m m\n"],
  ["console", false, "T INFO  m\n"],
] as const)("format %s, terminal %s", (format, isTerminal, expected) => {
  const lines: string[] = [];
  formatted({ write: (line) => void lines.push(line) }, format, { isTerminal, env: {} }).write(LINE);
  expect(lines).toEqual([expected]);
});

it.each([{ NO_COLOR: "1" }, { TERM: "dumb" }])("has no colours with %j", (env) => {
  const lines: string[] = [];
  formatted({ write: (line) => void lines.push(line) }, "auto", { isTerminal: true, env }).write(LINE);
  expect(lines).toEqual([consoleText(LINE, { hasColours: false })]);
});
