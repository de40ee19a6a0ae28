import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, it } from "vitest";
import { TlsFront } from "../../../src/net/tls-front.js";
import { useSecretFolders } from "../../support/server/certificates.js";

const makeFolder = useSecretFolders();

it("ends a handshake that does not finish in time, and says so", async () => {
  const { cert, key } = await (await makeFolder()).certificate("server");
  const problems: string[] = [];
  const front = new TlsFront({
    identity: { cert, key, clientCa: undefined },
    protocol: "h2",
    requiresCertificate: false,
    log: { handshakeFailed: (problem) => problems.push(problem) },
    timeoutMs: 20,
  });
  const server = createServer((socket) => front.secure(socket, () => {})).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket.resume(), "close");
  expect(problems[0]).toBe("HANDSHAKE_TIMEOUT");
  server.close();
});
