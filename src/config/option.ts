import { z } from "zod";
import { filePath, integer } from "./values.js";

/** The names, the help and the default of an option. */
export interface OptionText {
  /** The flag without its dashes; the variable and the key of the file derive from it. */
  readonly name: string;
  /** Empty: the flag takes no value. */
  readonly placeholder: string;
  /** A phrase that begins with a verb, without a full stop. */
  readonly description: string;
  /** Read as if it had been given. */
  readonly default?: string;
  /** Describes the default in words. */
  readonly defaultNote?: string;
  /** Whether it may be given several times. */
  readonly several?: boolean;
}

/** The texts of all options, by their schemas. */
export const optionTexts = z.registry<OptionText>();

type Extras = Pick<OptionText, "default" | "defaultNote" | "several">;

/** An option: the schema of its value, its form as a flag, its help. */
export function option<Schema extends z.ZodType>(
  schema: Schema,
  form: `${string} <${string}>` | "insecure",
  description: string,
  extras: Extras = {},
): Schema {
  const [name = "", placeholder = ""] = form.split(" ");
  optionTexts.add(schema, { name, placeholder, description, ...extras });
  return schema;
}

/** An option whose value is the path of a file; undefined unless given. */
export function file(form: `${string} <path>`, description: string, defaultNote?: string) {
  const extras = defaultNote === undefined ? {} : { defaultNote };
  return option(filePath().optional(), form, `Reads ${description} from this file`, extras);
}

/** An option whose value is a limit from 1 to `max`. */
export function count(name: string, max: number, standard: number, what: string) {
  return option(integer(1, max), `${name} <count>`, `Limits the number of ${what}`, {
    default: String(standard),
  });
}
