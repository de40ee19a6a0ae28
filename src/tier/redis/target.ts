/** User, password and certificates for Redis. */
export interface RedisCredentials {
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Those for Sentinels, which never get the two above. */
  readonly sentinelUsername: string | undefined;
  readonly sentinelPassword: string | undefined;
  /** PEM text of the authorities to trust instead of the system's. */
  readonly ca: string | undefined;
  /** PEM text of the client certificate and of its private key; both or neither. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export const NO_CREDENTIALS: RedisCredentials = {
  username: undefined,
  password: undefined,
  sentinelUsername: undefined,
  sentinelPassword: undefined,
  ca: undefined,
  cert: undefined,
  key: undefined,
};

/** Where Redis is, and the credentials for it. */
export interface RedisTarget extends RedisCredentials {
  readonly topology: "single" | "sentinel" | "cluster";
  /** The server, the Sentinels, or some nodes of the Cluster. */
  readonly nodes: readonly RedisNode[];
  /** The name under which Sentinels know the primary. */
  readonly primaryName: string;
  readonly database: number;
  readonly tls: boolean;
}

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export function addressOf({ host, port }: RedisNode): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
