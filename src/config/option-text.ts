import { z } from "zod";

/** What people read of an option, and under which names they set it. */
export interface OptionText {
  /** The flag without its dashes; the variable and the key of the file derive from it. */
  readonly name: string;
  readonly placeholder: string;
  readonly description: string;
  /** Read like a value that was given; none: no value, or one that `defaultNote` explains. */
  readonly defaults: readonly string[];
  readonly defaultNote?: string;
  /** Whether it may be given several times. */
  readonly several?: boolean;
}

/** The texts of all options, by their schemas. */
export const optionTexts = z.registry<OptionText>();
