import { InvalidArgumentError } from "commander";
import { durationKind, parseDuration } from "../config/duration.js";
import { isFaithful, NOT_UTF8 } from "./io/utf8.js";

/** A flag of a command. Its name derives from its key: `resumeAfter` is `--resume-after`. */
export interface Flag<Value> {
  readonly help: string;
  /** Such as `-o`. */
  readonly short?: string;
  /** Such as `<name>`; a flag without a placeholder takes no value. */
  readonly placeholder?: string;
  /** The environment variable or the default, as the help shows it. */
  readonly note?: string;
  readonly isRequired?: boolean;
  /** Throws an InvalidArgumentError; a text that is not UTF-8 never gets here. */
  readonly parse?: (text: string) => Value;
  /** The value of a flag that is not given. */
  readonly absent: Value;
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** What the flags of a command hold. */
export type ValuesOf<F extends Flags> = {
  readonly [Key in keyof F]: F[Key] extends Flag<infer Value> ? Value : never;
};

type Extras = Pick<Flag<unknown>, "short" | "note">;

/** A flag without a value. */
export function onOff(help: string): Flag<boolean> {
  return { help, absent: false };
}

/** A flag whose value is text. */
export function text(placeholder: string, help: string, extras: Extras = {}): Flag<string | undefined> {
  return { help, placeholder, ...extras, absent: undefined };
}

/** A flag that must be given. */
export function required(placeholder: string, help: string): Flag<string> {
  return { help, placeholder, isRequired: true, absent: "" };
}

/** A flag whose value `parse` reads. */
export function parsed<Value>(
  placeholder: string,
  help: string,
  parse: (text: string) => Value,
  extras: Extras = {},
): Flag<Value | undefined> {
  return { help, placeholder, ...extras, parse, absent: undefined };
}

/** A flag whose value is one of some words; the first is the default. */
export function choice<const Word extends string>(
  help: string,
  words: readonly [Word, ...Word[]],
  extras: Extras = {},
): Flag<Word> {
  const parse = (text: string) => {
    const word = words.find((word) => word === text);
    if (word === undefined) throw new InvalidArgumentError(`Expected ${words.join(" or ")}.`);
    return word;
  };
  const note = `default: ${words[0]}`;
  return { help, placeholder: `<${words.join("|")}>`, note, ...extras, parse, absent: words[0] };
}

/** What a timer of Node.js can wait: 24.8 days. With more it would fire at once. */
const DURATION_MAX = "24d";

/** A flag whose value is a duration, in milliseconds. */
export function duration(help: string): Flag<number | undefined>;
export function duration(help: string, standard: string): Flag<number>;
export function duration(help: string, standard?: string): Flag<number | undefined> {
  const flag = parsed("<duration>", help, readDuration);
  return standard === undefined
    ? flag
    : { ...flag, note: `default: ${standard}`, absent: readDuration(standard) };
}

/** A text of the command line; throws an InvalidArgumentError if Node.js has altered it. */
export function faithful(text: string): string {
  if (!isFaithful(text)) throw new InvalidArgumentError(`It ${NOT_UTF8}.`);
  return text;
}

function readDuration(text: string): number {
  const ms = parseDuration(text, "1ms", DURATION_MAX);
  if (ms === undefined) throw new InvalidArgumentError(`Expected ${durationKind("1ms", DURATION_MAX)}.`);
  return ms;
}
