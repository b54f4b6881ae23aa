/**
 * Webhooks: notices to operators about a rollout, or the end of a process that ran the Worker's versions. A notice is
 * stored in the transaction that it reports, so a crash loses none. It is sent until the receiver accepts it or the
 * attempts run out: duplicates and any order are possible.
 */
import { toHex, utf8 } from "../lib/bytes.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import type { Sql } from "../lib/sqlite.ts";
import { type Incident, incidentText, versionsNamed } from "../versions/incident.ts";
import type { Webhook } from "../versions/types.ts";
import { harmed } from "./counts.ts";
import { effectOf } from "./effect.ts";
import type { Notice, Rollout } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS notice (
  id TEXT PRIMARY KEY,
  webhook TEXT NOT NULL,                 -- JSON object
  body TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  next INTEGER NOT NULL                  -- when it is to be sent, ms since the epoch
);
`;

/** Signs the time in seconds since the epoch, a dot and the body: the receiver can refuse a replayed notice. */
const SIGNATURE_HEADER = "Sluice-Signature";

interface Row {
  readonly id: string;
  readonly webhook: string;
  readonly body: string;
  readonly attempts: number;
}

/** What happened to a Worker. */
interface News {
  readonly event: Notice | "incident";
  readonly worker: string;
  /** More fields of the JSON. */
  readonly detail: Readonly<Record<string, unknown>>;
  /** The same in a sentence. */
  readonly text: string;
}

export class Notices {
  readonly #sql: Sql;
  readonly #send: typeof fetch;
  #sending = false;

  constructor(sql: Sql, send: typeof fetch) {
    this.#sql = sql;
    this.#send = send;
    sql.exec(SCHEMA);
  }

  /** Call it in the transaction that the notice reports. @param now in ms since the epoch */
  add(webhooks: readonly Webhook[], { event, worker, detail, text }: News, now: number): void {
    for (const webhook of webhooks) {
      const id = crypto.randomUUID();
      const body =
        webhook.format === "slack" ? { text: `*${worker}*: ${text}` } : { id, event, worker, ...detail };
      const [to, what] = [JSON.stringify(webhook), JSON.stringify(body)];
      this.#sql.exec("INSERT INTO notice VALUES (?, ?, ?, 0, ?)", id, to, what, now);
    }
  }

  /** When the next notice is due, in ms since the epoch; undefined where there is none, or while `deliver` runs. */
  next(): number | undefined {
    if (this.#sending) return undefined;
    const [row] = this.#sql.exec("SELECT min(next) AS next FROM notice").toArray();
    return (row?.next as number | null) ?? undefined;
  }

  /** Sends every notice that is due. Never rejects. @param now returns the time in ms since the epoch */
  async deliver(now: () => number): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (const row of this.#sql.exec("SELECT * FROM notice WHERE next <= ?", now()).toArray()) {
        await this.#deliverOne(row as unknown as Row, now);
      }
    } finally {
      this.#sending = false;
    }
  }

  clear(): void {
    this.#sql.exec("DELETE FROM notice");
  }

  async #deliverOne({ id, webhook, body, attempts }: Row, now: () => number): Promise<void> {
    const { url, secret } = JSON.parse(webhook) as Webhook;
    const why = await this.#post(url, secret, body, now());
    if (why === undefined) {
      this.#sql.exec("DELETE FROM notice WHERE id = ?", id);
      return;
    }
    log("warn", "webhook-failed", { url, attempts: attempts + 1, why });
    if (attempts + 1 >= LIMITS.rollouts.webhookAttempts) {
      this.#sql.exec("DELETE FROM notice WHERE id = ?", id);
      return;
    }
    const next = now() + LIMITS.rollouts.webhookRetryMs * 2 ** attempts;
    this.#sql.exec("UPDATE notice SET attempts = ?, next = ? WHERE id = ?", attempts + 1, next, id);
  }

  /** @returns why the receiver did not accept it; undefined where it did */
  async #post(url: string, secret: string | null, body: string, now: number): Promise<string | undefined> {
    try {
      const time = Math.floor(now / 1000);
      const signature =
        secret === null
          ? {}
          : { [SIGNATURE_HEADER]: `t=${time},v1=${await sign(secret, `${time}.${body}`)}` };
      const response = await this.#send(url, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...signature },
        body,
        redirect: "manual",
        signal: AbortSignal.timeout(LIMITS.rollouts.webhookTimeoutMs),
      });
      await response.body?.cancel();
      return response.ok ? undefined : `it answers ${response.status}`;
    } catch (error) {
      return String(error);
    }
  }
}

/** HMAC-SHA256 in hex. */
async function sign(secret: string, text: string): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", utf8(secret), algorithm, false, ["sign"]);
  return toHex(await crypto.subtle.sign("HMAC", key, utf8(text)));
}

/** What happened to the rollout of a Worker. The same facts as in the API, under the same names. */
export function rolloutNews(worker: string, event: Notice, rollout: Rollout): News {
  const { phase, reason, waiting, stage, plan, candidate, stable } = rollout;
  const { from, to, text } = effectOf(rollout);
  const users_harmed = harmed(rollout.evidence.total);
  const users = users_harmed === 1 ? "1 user" : `${users_harmed} users`;
  return {
    event,
    worker,
    detail: {
      rollout_id: rollout.id,
      phase,
      reason,
      waiting,
      stage,
      percentage: plan.stages[stage]?.percentage ?? null,
      candidate_version_id: candidate.version_id,
      stable_version_id: stable.version_id,
      effect: { from, to, text },
      users_harmed,
    },
    text: `${phase.replace("_", " ")} – ${reason}; ${users} harmed, the candidate fails ${text} (rollout ${rollout.id})`,
  };
}

/** A process ended that ran versions of a Worker. */
export function incidentNews(worker: string, incident: Incident): News {
  const { id, process, cause, at, evidence, culprit } = incident;
  const named = versionsNamed(incident).filter((each) => each.worker === worker);
  return {
    event: "incident",
    worker,
    detail: {
      incident_id: id,
      process,
      cause,
      at,
      evidence,
      version_ids: named.map(({ version }) => version),
      culprit_version_id: culprit?.worker === worker ? culprit.version : null,
    },
    // Other Workers' names are none of this receiver's business.
    text: incidentText({
      ...incident,
      versions: named,
      culprit: culprit?.worker === worker ? culprit : null,
    }),
  };
}
