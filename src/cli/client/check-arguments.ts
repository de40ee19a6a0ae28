import type { Command } from "commander";
import { isUnicode } from "../io/decode-utf8.js";

/**
 * Ends a command with an error of usage if an argument or an option is not UTF-8. Node.js puts U+FFFD
 * in place of each faulty byte, so that two IDs would become one; a true U+FFFD looks the same.
 */
export function checkArguments(command: Command): void {
  const given = [
    ...command.registeredArguments.map((argument, index) => ({
      name: argument.name(),
      value: command.processedArgs[index] as unknown,
    })),
    ...command.options.map((option) => ({
      name: option.long ?? option.flags,
      value: command.getOptionValue(option.attributeName()) as unknown,
    })),
  ];
  for (const { name, value } of given) {
    if ([value].flat().every((text) => typeof text !== "string" || isFaithful(text))) continue;
    command.error(`error: ${name} ${NOT_UTF8}`);
  }
}

/** What is wrong with a text that is not faithful. */
export const NOT_UTF8 = "is not valid UTF-8, or has the character U+FFFD, which stands for such bytes";

/** Whether an argument or a variable surely holds what was given. */
export function isFaithful(text: string): boolean {
  return isUnicode(text) && !text.includes("\uFFFD");
}
