/** Fails unless the sidecar's answer is the reference's; the order of members does not count. */
export function expectSame(what: string, actual: unknown, expected: unknown): void {
  const [is, shouldBe] = [asText(actual), asText(expected)];
  if (is !== shouldBe) throw new Error(`${what}: the sidecar says ${is}, the reference ${shouldBe}`);
}

function asText(value: unknown): string {
  const text = JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([one], [other]) => (one < other ? -1 : 1)))
      : member,
  );
  return text ?? "nothing";
}
