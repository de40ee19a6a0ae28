import { schemaSql } from "../../../src/log/postgres/schema/schema-sql.js";
import type { PostgresServer } from "./postgres-server.js";

/** Each store of a suite has a log of its own, in a schema that is made in advance. */
const SCHEMAS = 100;

export interface Schemas {
  create(): Promise<void>;
  /** The name of a schema that no store has used. */
  next(): string;
}

export function useSchemas(server: () => PostgresServer): Schemas {
  let used = 0;
  return {
    async create() {
      const client = await server().connect();
      for (let n = 0; n < SCHEMAS; n++) {
        // Nobody has used it before, so no lease of an earlier incarnation need be waited for.
        await client.query(`${schemaSql(`s${n}`)}; update s${n}.cluster set settled = true`);
      }
      await client.end();
    },
    next() {
      if (used === SCHEMAS) throw new Error("the suite needs more schemas");
      return `s${used++}`;
    },
  };
}
