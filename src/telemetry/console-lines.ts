import type { LogFormat } from "../config/log-formats.js";

interface LineSink {
  write(line: string): void;
}

export interface ConsoleOptions {
  readonly hasColours: boolean;
}

/** Where log lines go to, as the environment of the process describes it. */
export interface LogTarget {
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Puts lines of JSON into the format of the configuration. There are colours on a terminal only, and none
 * if NO_COLOR is set or TERM is dumb.
 */
export function formatted(to: LineSink, format: LogFormat, { isTerminal, env }: LogTarget): LineSink {
  if (format === "json" || (format === "auto" && !isTerminal)) return to;
  const hasColours = isTerminal && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  return { write: (line) => to.write(consoleText(line, { hasColours })) };
}

/** Rewrites a log line of JSON for people: time, level, message, fields, then the stack of an error. */
export function consoleText(line: string, { hasColours }: ConsoleOptions): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const name = String(level).toUpperCase().padEnd(LEVEL_WIDTH);
  const colour = hasColours ? COLOURS[String(level)] : undefined;
  const parts = [
    `${time}`,
    colour === undefined ? name : `\u001b[${colour}m${name}\u001b[0m`,
    visible(String(msg)),
    ...Object.entries(fields).map(([key, value]) => `${key}=${valueText(value)}`),
  ];
  return [parts.join(" "), ...errorLines(err, "error")].map((text) => `${text}\n`).join("");
}

const LEVEL_WIDTH = 5;
const COLOURS: Readonly<Record<string, number>> = { debug: 90, info: 32, warn: 33, error: 31, fatal: 35 };

/** A word as it is; anything else as JSON, so that the end of a value is plain. */
function valueText(value: unknown): string {
  const text = typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  return visible(String(text));
}

/** The stack of an error and of its causes, each line indented. */
function errorLines(error: unknown, title: string): string[] {
  if (error === undefined) return [];
  if (typeof error !== "object" || error === null) return [`  ${title}: ${visible(String(error))}`];
  const { stack, message, code, cause } = error as Readonly<Record<string, unknown>>;
  const [first = "", ...rest] = String(stack ?? message).split("\n");
  const suffix = code === undefined ? "" : ` (${visible(String(code))})`;
  return [
    `  ${title}: ${visible(first)}${suffix}`,
    ...rest.map((text) => `    ${visible(text.trim())}`),
    ...errorLines(cause, "cause"),
  ];
}

/** Names come from clients: what could move the cursor or reorder text becomes a visible escape. */
function visible(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
