/** `d1`: a channel from a version to one database (database.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import type { Result } from "../../lib/result.ts";
import type { Rpc } from "../../lib/rpc.ts";
import { openChannel } from "../../runtime/channels.ts";
import { databaseOf } from "./database.ts";
import type { D1Outcome, D1Query } from "./types.ts";

interface Props {
  /** Id of the database. */
  readonly database: string;
}

/** What the API does with a database. */
export class D1Admin extends WorkerEntrypoint<Env, Props> {
  query(queries: readonly D1Query[]): Promise<Result<D1Outcome[], string>> {
    return databaseOf(this.env, this.ctx.props.database).query(queries);
  }

  describe(): Promise<{ readonly size: number; readonly tables: number }> {
    return databaseOf(this.env, this.ctx.props.database).describe();
  }

  clear(): Promise<void> {
    return databaseOf(this.env, this.ctx.props.database).clear();
  }
}

/** @param database its id */
export function d1AdminOf(env: Pick<Env, "SLUICE_LANE">, database: string): Rpc<D1Admin> {
  return openChannel<D1Admin>(env, "D1Admin", { database });
}

export class D1Binding extends WorkerEntrypoint<Env, Props> {
  async query(queries: readonly D1Query[]): Promise<Result<D1Outcome[], string>> {
    return databaseOf(this.env, this.ctx.props.database).query(queries);
  }
}
