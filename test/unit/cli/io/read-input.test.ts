import { tmpdir } from "node:os";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { ExitCode } from "../../../../src/cli/exit-code.js";
import { type Line, readFileLines, readLines } from "../../../../src/cli/io/read-input.js";
import { isUnicode } from "../../../../src/cli/io/utf8.js";

async function linesOf(...chunks: Buffer[]): Promise<string[]> {
  const lines = await gather(readLines(Readable.from(chunks), "f"));
  return lines.map(({ text }) => text);
}

async function gather(lines: AsyncIterable<Line>): Promise<Line[]> {
  const gathered: Line[] = [];
  for await (const line of lines) gathered.push(line);
  return gathered;
}

describe("readLines", () => {
  it("joins lines that chunks cut, between and within characters", async () => {
    const bytes = Buffer.from("a é\nb\n");
    const chunks = Array.from(bytes, (byte) => Buffer.from([byte]));
    expect(await linesOf(...chunks)).toEqual(["a é", "b"]);
  });

  it("ends a line at a line feed alone, not at a separator that JSON allows in a string", async () => {
    expect(await linesOf(Buffer.from('"a\u2028b\u0085c"\nd'))).toEqual(['"a\u2028b\u0085c"', "d"]);
  });

  it("skips empty lines and needs no line feed at the end", async () => {
    expect(await linesOf(Buffer.from("\na\n\nb"))).toEqual(["a", "b"]);
  });

  it("counts empty lines, so that line numbers match the numbers of an editor", async () => {
    const lines = await gather(readLines(Readable.from([Buffer.from("\na\n\n\nb")]), "f"));
    expect(lines).toEqual([
      { where: "f, line 2", text: "a" },
      { where: "f, line 5", text: "b" },
    ]);
  });

  it("marks invalid UTF-8 in its own line alone", async () => {
    const [first, second, third] = await linesOf(Buffer.from([0x61, 0x0a, 0xe9]), Buffer.from([0x0a, 0x62]));
    expect([first, third]).toEqual(["a", "b"]);
    expect(isUnicode(second ?? "")).toBe(false);
  });

  it("refuses a line without an end instead of collecting it", async () => {
    const megabytes = Array.from({ length: 9 }, () => Buffer.alloc(1024 * 1024, "x"));
    await expect(linesOf(...megabytes)).rejects.toThrow(/f, line 1 has more than/);
  });
});

describe("readFileLines", () => {
  it.each([
    ["a missing file", "/nowhere/events.jsonl", "ENOENT: no such file or directory"],
    ["a missing packed file", "/nowhere/events.jsonl.gz", "ENOENT: no such file or directory"],
    ["a folder", tmpdir(), "EISDIR: illegal operation on a directory"],
  ])("rejects with an error of usage for %s", async (_what, path, reason) => {
    await expect(gather(readFileLines(path))).rejects.toMatchObject({
      exitCode: ExitCode.usage,
      message: `${path} cannot be read: ${reason}`,
    });
  });
});
