/** The Worker's deployments, and which versions have been in one. */
import type { Deployed } from "../../versions/retention.ts";
import type { AssetsOfVersion, Deployment, Share, Source } from "../../versions/types.ts";
import { first } from "./first.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS deployment (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created_on TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_email TEXT NOT NULL,
  source TEXT NOT NULL,
  triggered_by TEXT NOT NULL,
  message TEXT,
  versions TEXT NOT NULL                 -- JSON array of shares
);
CREATE TABLE IF NOT EXISTS deployed (
  version_id TEXT PRIMARY KEY,           -- every version that was in a deployment
  left_on INTEGER                        -- ms since the epoch; NULL while the active one has it
);
`;

interface DeploymentRow extends Record<string, SqlStorageValue> {
  id: string;
  created_on: string;
  author_id: string;
  author_email: string;
  source: Source;
  triggered_by: Deployment["triggered_by"];
  message: string | null;
  versions: string;
}

export class DeploymentTable {
  readonly #sql: SqlStorage;

  /** Creates the tables where they are missing. */
  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  insert(deployment: Deployment): void {
    this.#sql.exec(
      `INSERT INTO deployment (id, created_on, author_id, author_email, source, triggered_by, message, versions)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      deployment.id,
      deployment.created_on,
      deployment.author.id,
      deployment.author.email,
      deployment.source,
      deployment.triggered_by,
      deployment.message,
      JSON.stringify(deployment.versions),
    );
  }

  /** Newest first. */
  all(): Deployment[] {
    return this.#sql
      .exec<DeploymentRow>("SELECT * FROM deployment ORDER BY seq DESC")
      .toArray()
      .map(toDeployment);
  }

  /** Newest first. */
  page(limit: number, offset: number): Deployment[] {
    return this.#sql
      .exec<DeploymentRow>("SELECT * FROM deployment ORDER BY seq DESC LIMIT ? OFFSET ?", limit, offset)
      .toArray()
      .map(toDeployment);
  }

  count(): number {
    return first<{ n: number }>(this.#sql, "SELECT count(*) AS n FROM deployment")?.n ?? 0;
  }

  get(id: string): Deployment | undefined {
    const found = first<DeploymentRow>(this.#sql, "SELECT * FROM deployment WHERE id = ?", id);
    return found && toDeployment(found);
  }

  active(): Deployment | undefined {
    const found = first<DeploymentRow>(this.#sql, "SELECT * FROM deployment ORDER BY seq DESC LIMIT 1");
    return found && toDeployment(found);
  }

  /** Records the versions of the deployment that becomes active. @param now in ms since the epoch */
  setDeployed(ids: readonly string[], now: number): void {
    this.#sql.exec("UPDATE deployed SET left_on = ? WHERE left_on IS NULL", now);
    for (const id of ids) this.#sql.exec("INSERT OR REPLACE INTO deployed VALUES (?, NULL)", id);
  }

  /** Versions with assets that have been deployed: the active ones first, then the newest. */
  withAssets(limit: number): Deployed[] {
    return this.#sql
      .exec<{ version_id: string; number: number; assets: string; left_on: number | null }>(
        `SELECT deployed.version_id, number, assets, left_on FROM deployed
         JOIN version ON version.id = deployed.version_id
         JOIN version_detail AS detail ON detail.version_id = version.id
         WHERE assets IS NOT NULL ORDER BY left_on IS NULL DESC, number DESC LIMIT ?`,
        limit,
      )
      .toArray()
      .map(({ assets, ...row }) => ({ ...row, set: (JSON.parse(assets) as AssetsOfVersion).set }));
  }

  clear(): void {
    this.#sql.exec("DELETE FROM deployment");
    this.#sql.exec("DELETE FROM deployed");
  }
}

function toDeployment(row: DeploymentRow): Deployment {
  return {
    id: row.id,
    created_on: row.created_on,
    author: { id: row.author_id, email: row.author_email },
    source: row.source,
    triggered_by: row.triggered_by,
    message: row.message,
    versions: JSON.parse(row.versions) as Share[],
  };
}
