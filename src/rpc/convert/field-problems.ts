/** The problem of a text that must have 1 to `bytesMax` bytes of UTF-8, or undefined. */
export function requiredTextProblem(text: string, bytesMax: number): string | undefined {
  return text.length === 0 ? "is required" : textProblem(text, bytesMax);
}

/** The problem of an optional text, or undefined. */
export function textProblem(text: string, bytesMax: number): string | undefined {
  // A UTF-16 unit takes at most three bytes, so a short text need not be measured.
  return text.length * 3 <= bytesMax ? undefined : countProblem(Buffer.byteLength(text), bytesMax, "bytes");
}

/** The problem of a list or of bytes with at most `max` of `unit`, or undefined. */
export function countProblem(count: number, max: number, unit: "bytes" | "elements"): string | undefined {
  return count > max ? `must have at most ${max} ${unit}, has ${count}` : undefined;
}
