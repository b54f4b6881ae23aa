/**
 * What each refusal looks like on the wire: HTTP status, code, and sentences that say what is wrong and what to do.
 * Codes are Cloudflare's where wrangler or other clients know one (https://developers.cloudflare.com/api, and
 * wrangler's own handling of 10007, 10021, 10027, 10057, 10215); 7003 covers what this API does not have.
 */
import { MIB } from "../lib/bytes.ts";
import type { ResourceKind, SluiceError } from "../lib/errors.ts";

interface WireError {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 500 | 503;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
}

/** How each kind of resource is called, the codes of its absence and of a name that is taken, and what lists it. */
const RESOURCES: Readonly<
  Record<ResourceKind, { what: string; code: number; taken: number; command: string }>
> = {
  kv: { what: "KV namespace", code: 10013, taken: 10014, command: "`wrangler kv namespace list`" },
  r2: { what: "R2 bucket", code: 10006, taken: 10004, command: "`wrangler r2 bucket list`" },
  d1: { what: "D1 database", code: 7404, taken: 7502, command: "`wrangler d1 list`" },
  queue: { what: "queue", code: 11000, taken: 11009, command: "`wrangler queues list`" },
};

export function toWire(error: SluiceError): WireError {
  switch (error.reason) {
    case "unauthorized":
      return one(401, 10000, `Authentication error: ${error.detail}`);
    case "forbidden":
      return one(403, 9109, `A token with the role "${error.role}" may not do this.`);
    case "token-exists":
      return one(
        409,
        1001,
        `There is a token named "${error.name}". Revoke it first, or choose another name.`,
      );
    case "token-not-found":
      return one(404, 1003, `There is no token ${error.id}. \`sluice token list\` shows those there are.`);
    case "no-route":
      return one(404, 7003, `Sluice's API has no ${error.method} ${error.path}.`);
    case "worker-name-invalid":
      return one(
        400,
        10016,
        `"${error.worker}" cannot be the name of a Worker: use 1 to 63 lower-case letters, digits, - and _, not starting with -.`,
      );
    case "worker-not-found":
      return one(
        404,
        10007,
        `There is no Worker named "${error.worker}". Create it with \`wrangler deploy\`; the first upload must be a deploy.`,
      );
    case "version-not-found":
      return one(
        404,
        100146,
        `The Worker "${error.worker}" has no version ${error.version}. \`wrangler versions list\` shows those it has.`,
      );
    case "deployment-not-found":
      return one(404, 10007, `The Worker "${error.worker}" has no deployment ${error.deployment}.`);
    case "no-deployment":
      return one(404, 10007, `The Worker "${error.worker}" has no deployment yet. Run \`wrangler deploy\`.`);
    case "secret-not-found":
      return one(404, 10056, `The Worker "${error.worker}" has no secret named "${error.name}".`);
    case "body-invalid":
      return one(400, 9207, `The request body is not valid: ${error.detail}`);
    case "body-too-large":
      return one(413, 10027, `The request body is larger than ${error.limitBytes / MIB} MiB.`);
    case "upload-invalid":
      return one(400, 10021, `The upload is not valid: ${error.detail}`);
    case "version-too-large":
      return one(413, 10027, error.detail);
    case "startup-failed":
      return one(400, 10021, error.message);
    case "inherit-missing":
      return {
        status: 400,
        errors: error.names.map((name) => ({
          code: 10057,
          message: `inherit binding '${name}' is invalid: the previous version has no binding of that name. Set it first, for a secret with \`wrangler secret put ${name}\`.`,
        })),
      };
    case "deployment-invalid":
      return one(400, 10021, `The deployment is not valid: ${error.detail}.`);
    case "unsupported":
      return one(400, 10021, `Sluice does not support ${error.feature}: ${error.advice}.`);
    case "resource-not-found": {
      const { what, code, command } = RESOURCES[error.kind];
      return one(404, code, `There is no ${what} ${error.id}. ${command} shows those there are.`);
    }
    case "resource-exists": {
      const { what, taken } = RESOURCES[error.kind];
      return one(400, taken, `There is a ${what} named "${error.name}" already; choose another name.`);
    }
    case "key-not-found":
      return one(404, 10009, `get: 'key not found': there is no key "${error.key}".`);
    case "storage-refused":
      return one(400, 10147, error.detail);
    case "bucket-not-empty":
      return one(409, 10008, `The bucket "${error.bucket}" is not empty: delete its objects first.`);
    case "object-not-found":
      return one(404, 10007, `The specified key does not exist: "${error.key}".`);
    case "consumer-exists":
      return one(
        400,
        11004,
        `The queue "${error.queue}" has the consumer "${error.worker}" already; remove it with \`wrangler queues consumer remove ${error.queue} ${error.worker}\` first.`,
      );
    case "consumer-not-found":
      return one(404, 11003, `The queue "${error.queue}" has no consumer ${error.consumer}.`);
    case "query-failed":
      return one(400, 7500, error.detail);
    case "service-not-found":
      return one(
        400,
        10143,
        `Could not resolve service binding '${error.name}'. Target script '${error.service}' not found: deploy it first.`,
      );
    case "class-not-found":
      return one(
        400,
        10061,
        `Cannot create binding '${error.name}' for class '${error.class_name}' of "${error.worker}" because it is not currently configured to implement Durable Objects. Add a migration with it to \`new_sqlite_classes\`.`,
      );
    case "class-not-exported":
      return one(
        400,
        10064,
        `The main module does not export ${error.classes.map((name) => `the class '${name}'`).join(", ")}, which Durable Objects depend on. Export it, or delete it with a \`deleted_classes\` migration.`,
      );
    case "migration-invalid":
      return one(400, 10079, `The migration cannot be applied: ${error.detail}.`);
    case "migration-in-version":
      return one(
        400,
        10211,
        "Durable Object migrations cannot be part of a version that is only uploaded: apply them with `wrangler deploy`.",
      );
    case "script-in-version":
      return one(
        400,
        10021,
        "Versions of a Worker in service-worker syntax cannot be uploaded without being deployed: run `wrangler deploy`, or export the handlers instead, `export default { fetch(request, env, ctx) { … } }`.",
      );
    case "before-migration":
      return one(
        400,
        10211,
        `Version ${error.version} of "${error.worker}" is older than its last Durable Object migration, so it cannot be deployed any more. Upload its code again.`,
      );
    case "latest-not-deployed":
      return one(
        400,
        10215,
        `The latest version of "${error.worker}" is not the one that serves alone, so a secret cannot be changed in place. Use \`wrangler versions secret\` and deploy the new version, or deploy the latest version first.`,
      );
    case "split-protected": {
      const split = error.versions.map(({ version_id, percentage }) => `${version_id} ${percentage}%`);
      return one(
        409,
        10021,
        `"${error.worker}" is being rolled out (${split.join(", ")}) and protected, so a newer version cannot take all of its traffic. Finish the split first, with \`wrangler versions deploy <version>@100%\` for one of its two or \`wrangler rollback\`; or lift the protection with \`sluice protect ${error.worker} off\`. Traffic is as it was.`,
      );
    }
    case "rollout-active":
      return one(
        409,
        10021,
        `"${error.worker}" is being rolled out already (${error.id}). Wait for its end, or end it with \`sluice rollout abort ${error.worker}\`.`,
      );
    case "rollout-not-found":
      return one(404, 10007, `The Worker "${error.worker}" has no rollout ${error.id}.`);
    case "rollout-invalid":
      return one(400, 10021, `The rollout cannot be started: ${error.detail}.`);
    case "rollout-state":
      return one(409, 10021, `That cannot be done: the rollout ${error.id} ${error.detail}.`);
    case "secrets-changed":
      // wrangler reads the names after the colon, asks, and sends it again with ?force=true.
      return one(
        400,
        10220,
        `The version was made before secrets changed, and would bring back what they were; \`wrangler rollback\` asks and goes on, as does ?force=true. The following secrets have changed: ${error.names.join(", ")}`,
      );
    case "assets-session-invalid":
      return one(
        401,
        10000,
        "Authentication error: the token of this upload of assets is not valid here, or too old. Begin the upload again.",
      );
    case "assets-invalid":
      return one(400, 10021, `The assets are not valid: ${error.detail}.`);
    case "route-taken":
      return one(
        409,
        10020,
        `The route "${error.pattern}" belongs to the Worker "${error.worker}" already. Remove it there first, or choose another pattern.`,
      );
    case "domain-taken":
      return one(
        409,
        10021,
        `The domain "${error.hostname}" belongs to the Worker "${error.worker}" already. Remove it there first, or choose another one.`,
      );
    case "domain-not-found":
      return one(404, 10007, `There is no custom domain ${error.id}.`);
    case "route-not-found":
      return one(404, 10007, `There is no route ${error.id}.`);
    case "cron-invalid":
      return one(400, 10100, `Invalid cron expression: ${error.detail}.`);
    case "tail-not-found":
      return one(404, 10007, `There is no tail ${error.id}.`);
    case "changed-meanwhile":
      return one(
        409,
        10021,
        `Somebody else changed "${error.worker}" at the same moment. Nothing of this change was recorded; run it again.`,
      );
    case "code-unavailable":
      return one(503, 10013, `The code of version ${error.version} cannot be read at the moment. Try again.`);
    case "version-unloadable":
      return one(
        503,
        10013,
        `Nothing was changed, since what would serve "${error.worker}" cannot be loaded: ${error.why}. Try again, or deploy another version.`,
      );
    case "validator-unavailable":
      return one(
        503,
        10013,
        `The upload could not be validated: ${error.detail}. Nothing was stored; try again.`,
      );
  }
}

function one(status: WireError["status"], code: number, message: string): WireError {
  return { status, errors: [{ code, message }] };
}
