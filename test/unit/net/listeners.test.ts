import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { isLocal, parseListenAddress } from "../../../src/config/address.js";
import { ListenError, type Listener, listen } from "../../../src/net/listeners.js";

let folder: string;
const listeners: Listener[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
});

afterEach(async () => {
  for (const listener of listeners.splice(0)) listener.destroy();
  await rm(folder, { recursive: true });
});

async function open(text: string, server: Server = createServer(), socketMode = 0o660): Promise<Listener> {
  const address = parseListenAddress(text);
  if (address === undefined) throw new Error(`no address: ${text}`);
  const listener = await listen(server, address, { socketMode, onError: () => {} });
  listeners.push(listener);
  return listener;
}

it("tells the port that it took for port 0", async () => {
  const { address } = await open("127.0.0.1:0");
  expect(address).toMatchObject({ kind: "tcp", host: "127.0.0.1" });
  expect(address).not.toMatchObject({ port: 0 });
});

it.each([0o600, 0o660, 0o666])("makes a socket of the mode %o, under any umask", async (mode) => {
  const before = process.umask(0o077);
  try {
    await open(`unix:${folder}/s`, createServer(), mode);
    expect((await stat(join(folder, "s"))).mode & 0o777).toBe(mode);
    expect(process.umask()).toBe(0o077);
  } finally {
    process.umask(before);
  }
});

it("removes its socket when it stops accepting, and keeps accepted connections", async () => {
  const server = createServer((socket) => socket.pipe(socket));
  const listener = await open(`unix:${folder}/s`, server);
  const client = connect(join(folder, "s"));
  await once(client, "connect");
  let ended = false;
  const stopped = listener.stopAccepting().then(() => {
    ended = true;
  });
  await expect(stat(join(folder, "s"))).rejects.toMatchObject({ code: "ENOENT" });
  client.write("still there");
  expect(String((await once(client, "data"))[0])).toBe("still there");
  expect(ended).toBe(false);
  client.end();
  await stopped;
});

it("does not touch a socket with a listener", async () => {
  await open(`unix:${folder}/s`);
  await expect(open(`unix:${folder}/s`)).rejects.toThrow(/another process listens there/);
  await once(connect(join(folder, "s")), "connect");
});

it("does not touch a file that is not a socket", async () => {
  await writeFile(join(folder, "s"), "precious");
  await expect(open(`unix:${folder}/s`)).rejects.toThrow(/a file is there that is not a socket/);
  expect((await stat(join(folder, "s"))).size).toBe(8);
});

it.each([
  [
    "a folder that does not exist",
    () => `unix:${folder}/gone/s`,
    /the directory .*\/gone does not exist; create it first/,
  ],
  ["an address of another machine", () => "192.0.2.1:0", /this machine does not have the address/],
])("says in plain words what is wrong with %s", async (_, text, message) => {
  await expect(open(text())).rejects.toThrow(ListenError);
  await expect(open(text())).rejects.toThrow(message);
});

it.each([
  ["127.0.0.1:1", true],
  ["127.8.8.8:1", true],
  ["[::1]:1", true],
  ["unix:/s", true],
  ["0.0.0.0:1", false],
  ["[::]:1", false],
  ["10.0.0.1:1", false],
])("knows whether %s can be reached from this machine alone: %s", (text, local) => {
  expect(isLocal(parseListenAddress(text)!)).toBe(local);
});
