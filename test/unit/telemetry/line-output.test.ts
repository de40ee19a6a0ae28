import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LineOutput, WAITING_BYTES_MAX } from "../../../src/telemetry/line-output.js";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A file that takes `room` bytes, then fails; what it took. */
function fileOf(room: number, code = "EAGAIN") {
  const file = { text: "", room, code };
  const output = new LineOutput((bytes) => {
    if (file.room === 0) throw Object.assign(new Error(file.code), { code: file.code });
    const taken = Buffer.from(bytes).subarray(0, file.room);
    file.room -= taken.byteLength;
    file.text += taken;
    return taken.byteLength;
  });
  return { file, output };
}

it("writes a line before it returns", () => {
  const { file, output } = fileOf(100);
  output.write("one\n");
  expect(file.text).toBe("one\n");
});

it("keeps the bytes that a full pipe refuses, and continues there", () => {
  const { file, output } = fileOf(6);
  for (const line of ["one\n", "two\n", "three\n"]) output.write(line);
  expect(file.text).toBe("one\ntw");
  file.room = 100;
  vi.advanceTimersByTime(50);
  expect([file.text, output.dropped, vi.getTimerCount()]).toEqual(["one\ntwo\nthree\n", 0, 0]);
});

it("drops and counts lines beyond the limit, and reports them once lines can be written again", () => {
  const { file, output } = fileOf(0);
  const reported: number[] = [];
  output.onRecovered((dropped) => reported.push(dropped));
  const line = `${"x".repeat(1023)}\n`;
  for (let count = 0; count < WAITING_BYTES_MAX / 1024 + 3; count++) output.write(line);
  expect(output.dropped).toBe(3);
  file.room = 10 * WAITING_BYTES_MAX;
  vi.advanceTimersByTime(50);
  expect([file.text.length, reported]).toEqual([WAITING_BYTES_MAX, [3]]);
});

it.each(["ENOSPC", "EPIPE", "EIO"])("drops and counts each line that fails with %s", (code) => {
  const { file, output } = fileOf(0, code);
  for (const line of ["one\n", "two\n"]) output.write(line);
  file.room = 100;
  output.write("three\n");
  expect([file.text, output.dropped]).toEqual(["three\n", 2]);
});

it("begins a new line after one whose end is lost", () => {
  const { file, output } = fileOf(2, "ENOSPC");
  output.write("one\n");
  file.room = 100;
  output.write("two\n");
  expect([file.text, output.dropped]).toEqual(["on\ntwo\n", 1]);
});

it("tries once more when it is asked to, at the end of the process", () => {
  const { file, output } = fileOf(0);
  output.write("last\n");
  output.flush();
  expect(file.text).toBe("");
  file.room = 100;
  output.flush();
  expect([file.text, vi.getTimerCount()]).toEqual(["last\n", 0]);
});
