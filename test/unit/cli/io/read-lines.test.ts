import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { isUnicode } from "../../../../src/cli/io/decode-utf8.js";
import { type Line, readFileLines, readLines } from "../../../../src/cli/io/read-lines.js";

async function linesOf(...chunks: Buffer[]): Promise<string[]> {
  const lines = await gather(readLines(Readable.from(chunks)));
  return lines.map(({ text }) => text);
}

async function gather(lines: AsyncIterable<Line>): Promise<Line[]> {
  const gathered: Line[] = [];
  for await (const line of lines) gathered.push(line);
  return gathered;
}

describe("readLines", () => {
  it("joins what chunks cut, between and within characters", async () => {
    const bytes = Buffer.from("a é\nb\n");
    const chunks = Array.from(bytes, (byte) => Buffer.from([byte]));
    expect(await linesOf(...chunks)).toEqual(["a é", "b"]);
  });

  it("ends a line at a line feed alone, not at what JSON allows in a string", async () => {
    expect(await linesOf(Buffer.from('"a\u2028b\u0085c"\nd'))).toEqual(['"a\u2028b\u0085c"', "d"]);
  });

  it("leaves out empty lines and needs no line feed at the end", async () => {
    expect(await linesOf(Buffer.from("\na\n\nb"))).toEqual(["a", "b"]);
  });

  it("counts empty lines, so that a line has its number in an editor", async () => {
    const lines = await gather(readLines(Readable.from([Buffer.from("\na\n\n\nb")])));
    expect(lines).toEqual([
      { number: 2, text: "a" },
      { number: 5, text: "b" },
    ]);
  });

  it("marks what is not UTF-8, in its own line alone", async () => {
    const [first, second, third] = await linesOf(Buffer.from([0x61, 0x0a, 0xe9]), Buffer.from([0x0a, 0x62]));
    expect([first, third]).toEqual(["a", "b"]);
    expect(isUnicode(second ?? "")).toBe(false);
  });

  it("refuses a line without end instead of gathering it", async () => {
    const megabytes = Array.from({ length: 9 }, () => Buffer.alloc(1024 * 1024, "x"));
    await expect(linesOf(...megabytes)).rejects.toThrow(/line 1 has more than/);
  });
});

describe("readFileLines", () => {
  it("rejects for a file that is not there, packed or not", async () => {
    await expect(gather(readFileLines("/nowhere/events.jsonl"))).rejects.toThrow("ENOENT");
    await expect(gather(readFileLines("/nowhere/events.jsonl.gz"))).rejects.toThrow("ENOENT");
  });
});
