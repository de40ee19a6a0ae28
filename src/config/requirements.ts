import { formatListenAddress, isLocal, type ListenAddress } from "./address.js";
import { type Config, type ConfigKey, flagOf } from "./options.js";
import { parsePostgresUrl } from "./postgres-url.js";

/** What each option requires of the others: an option without effect would mislead its user. */

interface Requirement {
  /** The setting that meets it, for the error. */
  readonly what: string;
  readonly isMet: (config: Partial<Config>) => boolean;
  /** The option that must be valid before anything can be said. */
  readonly of: ConfigKey;
}

const postgresLog: Requirement = {
  what: "--log postgres://…",
  of: "log",
  isMet: ({ log }) => log !== "memory",
};
const tier: Requirement = { what: "--tier", of: "tier", isMet: ({ tier }) => tier !== "none" };
const tlsTier: Requirement = {
  what: "--tier rediss://… (or rediss-sentinel, rediss-cluster)",
  of: "tier",
  isMet: ({ tier }) => tier !== "none" && tier?.tls === true,
};
const sentinelTier: Requirement = {
  what: "--tier redis-sentinel://…",
  of: "tier",
  isMet: ({ tier }) => tier !== "none" && tier?.topology === "sentinel",
};
const also = (of: ConfigKey): Requirement => ({
  what: flagOf(of),
  of,
  isMet: (config) => config[of] !== undefined,
});

const REQUIREMENTS: Partial<Record<ConfigKey, readonly Requirement[]>> = {
  logPasswordFile: [postgresLog],
  logSchema: [postgresLog],
  tier: [postgresLog, also("tierKeyFile")],
  tierTtlMs: [tier],
  tierKeyPrefix: [tier],
  tierKeyFile: [tier],
  // The client library sends no user name without a password: Redis would use the default user.
  tierUsernameFile: [tier, also("tierPasswordFile")],
  tierPasswordFile: [tier],
  tierSentinelUsernameFile: [sentinelTier, also("tierSentinelPasswordFile")],
  tierSentinelPasswordFile: [sentinelTier],
  tierTlsCaFile: [tlsTier],
  tierTlsCertFile: [tlsTier, also("tierTlsKeyFile")],
  tierTlsKeyFile: [tlsTier, also("tierTlsCertFile")],
  tlsCertFile: [also("tlsKeyFile")],
  tlsKeyFile: [also("tlsCertFile")],
  tlsClientCaFile: [also("tlsCertFile")],
};

/** A problem of settings that are valid one by one, with the option or the variable that it is reported for. */
export type Contradiction = readonly [of: ConfigKey | "PGPASSFILE", problem: string];

/**
 * The problems of valid settings in combination. `config` holds the settings that are valid,
 * `given` the keys whose values differ from the default.
 */
export function contradictionsIn(
  config: Partial<Config>,
  given: ReadonlySet<ConfigKey>,
  environment: Readonly<Record<string, string | undefined>>,
): Contradiction[] {
  const found = [...given].flatMap((key) =>
    (REQUIREMENTS[key] ?? [])
      .filter(({ of, isMet }) => of in config && !isMet(config))
      .map(({ what }): Contradiction => [key, `requires ${what}`]),
  );
  found.push(...exposures(config));
  if (config.log === undefined || config.log === "memory") return found;
  const { problem } = parsePostgresUrl(config.log, environment);
  if (problem !== undefined) found.push(["log", problem]);
  // PostgreSQL would refuse the connection without a hint at the ignored file.
  if (environment["PGPASSFILE"] && !environment["PGPASSWORD"] && config.logPasswordFile === undefined) {
    found.push(["PGPASSFILE", "is not supported; use --log-password-file or PGPASSWORD"]);
  }
  return found;
}

/** Listeners that serve other machines without authentication. */
function exposures(config: Partial<Config>): Contradiction[] {
  const { listen = [], adminListen = [], authFile, tlsClientCaFile, insecure } = config;
  if (authFile !== undefined || tlsClientCaFile !== undefined) return [];
  const authentication = `${flagOf("authFile")} or ${flagOf("tlsClientCaFile")}`;
  const exposed = (key: ConfigKey, addresses: readonly ListenAddress[], remedy: string) =>
    addresses
      .filter((address) => !isLocal(address))
      .map((address): Contradiction => {
        const place = formatListenAddress(address);
        return [
          key,
          `${place} may be reached from other machines, so it requires ${authentication}${remedy}`,
        ];
      });
  return [
    ...(insecure === true ? [] : exposed("listen", listen, `, or ${flagOf("insecure")} to serve any client`)),
    ...exposed("adminListen", adminListen, ""),
  ];
}
