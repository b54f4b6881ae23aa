/** `d1`: a channel from a version to one database (../objects/database.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import type { Result } from "../../lib/result.ts";
import { type Rpc, stubOf } from "../../lib/rpc.ts";
import type { Database } from "./database.ts";
import type { D1Outcome, D1Query } from "./types.ts";

interface Props {
  /** Id of the database. */
  readonly database: string;
}

export function databaseOf({ DATABASES }: Pick<Env, "DATABASES">, id: string): Rpc<Database> {
  return stubOf(DATABASES, id);
}

export class D1Binding extends WorkerEntrypoint<Env, Props> {
  async query(queries: readonly D1Query[]): Promise<Result<D1Outcome[], string>> {
    return (await databaseOf(this.env, this.ctx.props.database).query(queries)) as Result<
      D1Outcome[],
      string
    >;
  }
}
