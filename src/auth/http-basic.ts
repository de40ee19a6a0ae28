const BASIC = /^Basic ([A-Za-z0-9+/]+={0,2})$/i;

/**
 * Turns an `authorization` header of HTTP Basic into one with a bearer token: the password is the token,
 * and the name does not matter. Browsers can only send Basic. Other headers are returned as they are.
 */
export function asBearer(header: string): string {
  const encoded = BASIC.exec(header)?.[1];
  if (encoded === undefined) return header;
  const [, token = ""] = /^[^:]*:(.*)$/.exec(Buffer.from(encoded, "base64").toString()) ?? [];
  return `Bearer ${token}`;
}
