import { optionTexts } from "./option-text.js";
import { duration, filePath, keyPrefix, tierUrl } from "./values.js";

/** The options of the tier. */
export const tierOptions = {
  tier: tierUrl().register(optionTexts, {
    name: "tier",
    placeholder: "<url>",
    description:
      "Keeps entries for sidecars that start, in Redis or Valkey: redis://host:port[/database], redis-sentinel://host:port,…/primary[/database] or redis-cluster://host:port,…; rediss… for TLS; requires a PostgreSQL log",
    defaults: ["none"],
  }),
  tierKeyFile: filePath().optional().register(optionTexts, {
    name: "tier-key-file",
    placeholder: "<path>",
    description:
      "File with the secret that authenticates entries of the tier, at least 32 characters; the same for all sidecars",
    defaults: [],
  }),
  tierTtlMs: duration("1m", "7d").register(optionTexts, {
    name: "tier-ttl",
    placeholder: "<duration>",
    description: "How long the tier keeps an entry after it was last written",
    defaults: ["1h"],
  }),
  tierKeyPrefix: keyPrefix().register(optionTexts, {
    name: "tier-key-prefix",
    placeholder: "<text>",
    description: "What all keys in the tier begin with",
    defaults: ["splitcache"],
  }),
  tierUsernameFile: filePath().optional().register(optionTexts, {
    name: "tier-username-file",
    placeholder: "<path>",
    description: "File with the user's name at Redis",
    defaults: [],
  }),
  tierPasswordFile: filePath().optional().register(optionTexts, {
    name: "tier-password-file",
    placeholder: "<path>",
    description: "File with the password at Redis",
    defaults: [],
  }),
  tierSentinelUsernameFile: filePath().optional().register(optionTexts, {
    name: "tier-sentinel-username-file",
    placeholder: "<path>",
    description: "File with the user's name at Sentinels, which never get that of Redis",
    defaults: [],
  }),
  tierSentinelPasswordFile: filePath().optional().register(optionTexts, {
    name: "tier-sentinel-password-file",
    placeholder: "<path>",
    description: "File with the password at Sentinels",
    defaults: [],
  }),
  tierTlsCaFile: filePath().optional().register(optionTexts, {
    name: "tier-tls-ca-file",
    placeholder: "<path>",
    description: "File with the certificates, in PEM, of the authorities that are trusted for Redis",
    defaults: [],
    defaultNote: "the system's",
  }),
  tierTlsCertFile: filePath().optional().register(optionTexts, {
    name: "tier-tls-cert-file",
    placeholder: "<path>",
    description: "File with the client certificate for Redis, in PEM",
    defaults: [],
  }),
  tierTlsKeyFile: filePath().optional().register(optionTexts, {
    name: "tier-tls-key-file",
    placeholder: "<path>",
    description: "File with that certificate's private key, in PEM, without a passphrase",
    defaults: [],
  }),
};
