/** `d1`: a channel from a version to one database (database.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import type { Result } from "../../lib/result.ts";
import { databaseOf } from "./database.ts";
import type { D1Outcome, D1Query } from "./types.ts";

interface Props {
  /** Id of the database. */
  readonly database: string;
}

export class D1Binding extends WorkerEntrypoint<Env, Props> {
  async query(queries: readonly D1Query[]): Promise<Result<D1Outcome[], string>> {
    return databaseOf(this.env, this.ctx.props.database).query(queries);
  }
}
