import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Workers that run beside each other take theirs from different thousands: a server that is restarted needs its own again. */
const FIRST_PORT = 22_000 + (Number(process.env["VITEST_POOL_ID"] ?? 0) % 10) * 1000;

const given = new Set<number>();

/** A port without a listener, each only once, from a range that no outgoing connection takes while a server is down. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, FIRST_PORT + 1000);
    if (given.has(port)) continue;
    const probe = createServer();
    try {
      await once(probe.listen(port, "127.0.0.1"), "listening");
    } catch {
      continue;
    }
    await once(probe.close(), "close");
    given.add(port);
    return port;
  }
}
