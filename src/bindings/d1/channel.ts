/** `d1`: a channel from a version to one database (../objects/database.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import type { Result } from "../../lib/result.ts";
import type { D1Outcome, D1Query } from "../../versions/types.ts";
import type { Database } from "./database.ts";

interface Props {
  /** Id of the database. */
  readonly database: string;
}

export function databaseOf({ DATABASES }: Pick<Env, "DATABASES">, id: string): DurableObjectStub<Database> {
  return DATABASES.get(DATABASES.idFromName(id));
}

export class D1Binding extends WorkerEntrypoint<Env, Props> {
  async query(queries: readonly D1Query[]): Promise<Result<D1Outcome[], string>> {
    return (await databaseOf(this.env, this.ctx.props.database).query(queries)) as Result<
      D1Outcome[],
      string
    >;
  }
}
