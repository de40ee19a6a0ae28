import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { readFileLines, readLines } from "../../../src/cli/read-lines.js";

async function linesOf(...chunks: Buffer[]): Promise<string[]> {
  return gather(readLines(Readable.from(chunks)));
}

async function gather(lines: AsyncIterable<string>): Promise<string[]> {
  const gathered: string[] = [];
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

  it("refuses a line without end instead of gathering it", async () => {
    const megabytes = Array.from({ length: 9 }, () => Buffer.alloc(1024 * 1024, "x"));
    await expect(linesOf(...megabytes)).rejects.toThrow(/a line has more than/);
  });
});

describe("readFileLines", () => {
  it("rejects for a file that is not there, packed or not", async () => {
    await expect(gather(readFileLines("/nowhere/events.jsonl"))).rejects.toThrow("ENOENT");
    await expect(gather(readFileLines("/nowhere/events.jsonl.gz"))).rejects.toThrow("ENOENT");
  });
});
