import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/**
 * The names in the verified certificate of a connection's client: its DNS names and URIs, or its
 * common name if it has none of these. Empty without a certificate.
 */
export function certificateNamesOf(socket: Socket): readonly string[] {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return [];
  const { subjectaltname = "", subject } = socket.getPeerCertificate();
  const names = alternativeNames(subjectaltname);
  return names.length > 0 ? names : [subject?.CN ?? []].flat();
}

/** A kind and a name. Node.js writes a name with special characters as a JSON string. */
const NAME = /([^:,]*):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

function alternativeNames(text: string): string[] {
  const names: string[] = [];
  NAME.lastIndex = 0;
  // A part that is not understood ends the list: no name is made of it.
  for (let found = NAME.exec(text); found !== null && found[0] !== ""; found = NAME.exec(text)) {
    const [, kind, name = ""] = found;
    if (kind === "DNS" || kind === "URI") names.push(name.startsWith('"') ? String(JSON.parse(name)) : name);
  }
  return names;
}
