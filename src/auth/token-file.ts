import { open } from "node:fs/promises";
import { digestOf, TOKEN_BYTES_MAX } from "./clients.js";

/** As many characters as `openssl rand -hex 16` prints: such a token cannot be guessed. */
const CHARACTERS_MIN = 32;
const OTHERS_MAY_READ = 0o004;

/** The digest of the token in a file. Throws what is wrong with the file, never its content. */
export async function readTokenDigest(path: string): Promise<string> {
  const { content, mode } = await read(path);
  if ((mode & OTHERS_MAY_READ) !== 0) {
    const shown = (mode & 0o777).toString(8).padStart(4, "0");
    throw new Error(
      `can be read by every user (mode ${shown}): chmod o-r, or defaultMode: 0440 in Kubernetes`,
    );
  }
  const token = content.replace(/\r?\n$/, "");
  if (token === "") throw new Error("is empty: openssl rand -hex 32 makes a token");
  if (/\s/.test(token)) throw new Error("must hold one token, without spaces and further lines");
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error("must hold visible ASCII characters only");
  if (token.length < CHARACTERS_MIN) {
    throw new Error(
      `holds ${token.length} characters, must hold at least ${CHARACTERS_MIN}: openssl rand -hex 32`,
    );
  }
  // With "Bearer " before it.
  if (token.length > TOKEN_BYTES_MAX - 7)
    throw new Error(`must hold at most ${TOKEN_BYTES_MAX - 7} characters`);
  return digestOf(token);
}

async function read(path: string): Promise<{ readonly content: string; readonly mode: number }> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw new Error(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  });
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error("is not a file");
    // One byte more than a token and its line end may have.
    const { bytesRead, buffer } = await file.read(
      Buffer.alloc(TOKEN_BYTES_MAX + 3),
      0,
      TOKEN_BYTES_MAX + 3,
      0,
    );
    return { content: buffer.toString("utf8", 0, bytesRead), mode: found.mode };
  } finally {
    await file.close();
  }
}
