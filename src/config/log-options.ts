import { optionTexts } from "./option-text.js";
import { filePath, logUrl, schemaName } from "./values.js";

/** The options of the invalidation log. */
export const logOptions = {
  log: logUrl().register(optionTexts, {
    name: "log",
    placeholder: "<url>",
    description:
      "Where the invalidation logs are: memory (this process, for one sidecar) or postgres://user@host:port/database (for any number of sidecars that are one cache)",
    defaults: ["memory"],
  }),
  logPasswordFile: filePath().optional().register(optionTexts, {
    name: "log-password-file",
    placeholder: "<path>",
    description: "File with the password of the PostgreSQL role",
    defaults: [],
    defaultNote: "PGPASSWORD",
  }),
  logSchema: schemaName().register(optionTexts, {
    name: "log-schema",
    placeholder: "<name>",
    description: "Schema of the log's tables in PostgreSQL: sidecars that share it are one cache",
    defaults: ["splitcache"],
  }),
};
