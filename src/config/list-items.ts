/** The values of a list that one variable gives, separated by commas. */
export function listItems(text: string): string[] {
  return text.split(",").map((item) => item.trim());
}
