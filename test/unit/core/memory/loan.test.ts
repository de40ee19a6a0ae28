import { describe, expect, it } from "vitest";
import { Loan } from "../../../../src/core/memory/loan.js";

describe("a loan", () => {
  it("lends ranges until it ends; then reading one throws", () => {
    const loan = new Loan();
    const bytes = Buffer.from("abcdef");
    const lent = loan.lend({ bytes, start: 2, end: 4 });
    expect(lent.bytes.toString("utf8", lent.start, lent.end)).toBe("cd");
    loan.end();
    expect(() => lent.bytes).toThrow("after it had ended");
  });
});
