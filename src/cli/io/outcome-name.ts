/** The name of an enum's value as the command line prints it: in lower case. */
export function outcomeName(values: Readonly<Record<string, unknown>>, value: number | undefined): string {
  return (
    Object.keys(values)
      .find((name) => values[name] === value)
      ?.toLowerCase() ?? "unknown"
  );
}
