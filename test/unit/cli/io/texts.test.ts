import { describe, expect, it } from "vitest";
import { formatPosition, parsePosition } from "../../../../src/cli/io/contract-text.js";
import { parseMetrics } from "../../../../src/cli/io/metrics-text.js";
import { formatPairs, formatTable, terminalText } from "../../../../src/cli/io/text.js";

describe("terminalText", () => {
  it("escapes characters that could control a terminal", () => {
    expect(terminalText("a\u001b[2Jb\r\n\u202ec\u009bd")).toBe("a\\u{1b}[2Jb\\u{d}\\u{a}\\u{202e}c\\u{9b}d");
  });

  it("leaves letters of any language as they are", () => {
    expect(terminalText("héllo 日本 🎉")).toBe("héllo 日本 🎉");
  });
});

describe("formatTable", () => {
  it("aligns columns and ends lines without blanks", () => {
    expect(formatTable(["A", "B"], [["long", "x"]], undefined)).toBe("A     B\nlong  x\n");
  });

  it("cuts lines to the width of the terminal", () => {
    expect(formatTable(["A"], [["0123456789"]], 5)).toBe("A\n0123…\n");
  });

  it("escapes cells", () => {
    expect(formatTable(["A"], [["\u001b[31m"]], undefined)).not.toContain("\u001b");
    expect(formatPairs([["a", "\u0007"]])).toBe("a  \\u{7}\n");
  });
});

describe("positions", () => {
  it("reads what it writes", () => {
    const position = { epoch: Buffer.alloc(16, 0xab), sequence: 42n };
    expect(formatPosition(position)).toBe(`${"ab".repeat(16)}:42`);
    expect(parsePosition(formatPosition(position))).toEqual(position);
  });

  it.each(["", "ab:1", `${"ab".repeat(16)}`, `${"ab".repeat(16)}:-1`])("refuses %j", (text) => {
    expect(() => parsePosition(text)).toThrow("Expected a position");
  });
});

describe("parseMetrics", () => {
  it("reads samples with and without labels, and ignores comments", () => {
    const text = '# HELP a b\na 1\nb{x="1",y="q\\"\\n"} 2.5e3\nc +Inf 1700000000\n\n';
    expect(parseMetrics(text)).toEqual([
      { name: "a", labels: new Map(), value: 1 },
      {
        name: "b",
        labels: new Map([
          ["x", "1"],
          ["y", 'q"\n'],
        ]),
        value: 2500,
      },
      { name: "c", labels: new Map(), value: Number.POSITIVE_INFINITY },
    ]);
  });
});
