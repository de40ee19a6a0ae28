import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, it, vi } from "vitest";
import { switchProtocol } from "../../../src/net/protocol-switch.js";

let server: Server;

afterEach(() => server.close());

/** A port whose connections receive the name of the detected protocol, then an echo. */
async function listen(timeoutMs = 60_000): Promise<() => Socket> {
  const take = (name: string) => (socket: Socket) => {
    socket.write(`${name}:`);
    socket.pipe(socket);
  };
  server = createServer(switchProtocol({ http1: take("http1"), http2: take("http2") }, timeoutMs));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return () => connect(port, "127.0.0.1").setNoDelay();
}

async function textOf(socket: Socket, length: number): Promise<string> {
  let text = "";
  for await (const chunk of socket) {
    text += chunk;
    if (text.length >= length) break;
  }
  return text;
}

it.each([
  ["GET /livez HTTP/1.1\r\n", "http1:"],
  ["POST / HTTP/1.1\r\n", "http1:"],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2:"],
])("hands over %j without losing a byte", async (text, taker) => {
  const open = await listen();
  const socket = open();
  socket.write(text);
  expect(await textOf(socket, taker.length + text.length)).toBe(taker + text);
});

it("waits for bytes that come one by one", async () => {
  const open = await listen();
  const socket = open();
  await once(socket, "connect");
  for (const byte of "PRI") {
    socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await textOf(socket, 9)).toBe("http2:PRI");
});

it("closes a connection that ends before its protocol is known", async () => {
  const open = await listen();
  const socket = open().resume();
  socket.end("P");
  await once(socket, "close");
});

it.each(["", "G", "GET / HTTP/1.1\r\n"])("cuts a connection that lingers after %j", async (text) => {
  const open = await listen(30);
  const socket = open().resume();
  socket.write(text);
  await once(socket, "close");
});

it("lets an HTTP/2 connection last", async () => {
  const open = await listen(30);
  const socket = open();
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk;
  });
  socket.write("PRI");
  await vi.waitFor(() => expect(text).toBe("http2:PRI"));
  await once(open().resume(), "close");
  socket.write(" lives");
  await vi.waitFor(() => expect(text).toBe("http2:PRI lives"));
  socket.destroy();
});
