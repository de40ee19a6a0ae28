import { describe, expect, it } from "vitest";
import { TaskPool } from "../../../../tools/replay/task-pool.js";

describe("TaskPool", () => {
  it("runs no more tasks at once than it may, and drains", async () => {
    const pool = new TaskPool(3);
    let running = 0;
    let most = 0;
    let done = 0;
    for (let index = 0; index < 20; index += 1) {
      await pool.add(async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        done += 1;
      });
    }
    await pool.drain();
    expect({ most, running, done }).toEqual({ most: 3, running: 0, done: 20 });
  });

  it("reports the first failure of a task", async () => {
    const pool = new TaskPool(2);
    await pool.add(() => Promise.reject(new Error("first")));
    await expect(pool.drain()).rejects.toThrow("first");
    await expect(pool.add(async () => {})).rejects.toThrow("first");
  });
});
