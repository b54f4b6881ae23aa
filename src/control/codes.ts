/**
 * How each refusal is answered: HTTP status, code, and sentences that say what is wrong and what to do. Codes are
 * Cloudflare's where wrangler or other clients know one (https://developers.cloudflare.com/api, and wrangler's own
 * handling of 10007, 10021, 10027, 10057, 10215, 10220). 7003 stands for what this API does not have.
 */
import { MIB } from "../lib/bytes.ts";
import type { ResourceKind, SluiceError } from "../lib/errors.ts";

type Status = 400 | 401 | 403 | 404 | 409 | 413 | 500 | 503;
type Reason = SluiceError["reason"];
type Because<R extends Reason> = Extract<SluiceError, { readonly reason: R }>;
type Answer = readonly [status: Status, code: number, message: string];

interface WireError {
  readonly status: Status;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
}

/** For each kind of resource: its name, the codes for a missing one and for a taken name, and the command that lists it. */
const RESOURCES: Readonly<
  Record<ResourceKind, { what: string; code: number; taken: number; command: string }>
> = {
  kv: { what: "KV namespace", code: 10013, taken: 10014, command: "`wrangler kv namespace list`" },
  r2: { what: "R2 bucket", code: 10006, taken: 10004, command: "`wrangler r2 bucket list`" },
  d1: { what: "D1 database", code: 7404, taken: 7502, command: "`wrangler d1 list`" },
  queue: { what: "queue", code: 11000, taken: 11009, command: "`wrangler queues list`" },
};

/** One row per reason: a reason without a row does not compile. */
const ANSWERS: { readonly [R in Reason]: (error: Because<R>) => Answer } = {
  // Who calls.
  unauthorized: ({ detail }) => [401, 10000, `Authentication error: ${detail}`],
  forbidden: ({ role }) => [403, 9109, `A token with the role "${role}" may not do this.`],
  "token-exists": ({ name }) => [
    409,
    1001,
    `There is a token named "${name}". Revoke it first, or choose another name.`,
  ],
  "token-not-found": ({ id }) => [
    404,
    1003,
    `There is no token ${id}. \`sluice token list\` shows all tokens.`,
  ],

  // The path and the body.
  "no-route": ({ method, path }) => [404, 7003, `Sluice's API has no ${method} ${path}.`],
  "worker-name-invalid": ({ worker }) => [
    400,
    10016,
    `"${worker}" cannot be the name of a Worker: use 1 to 63 lower-case letters, digits, - and _, not starting with -.`,
  ],
  "worker-not-found": ({ worker }) => [
    404,
    10007,
    `There is no Worker named "${worker}". Create it with \`wrangler deploy\`; the first upload must be a deploy.`,
  ],
  "body-invalid": ({ detail }) => [400, 9207, `The request body is not valid: ${detail}`],
  "body-too-large": ({ limitBytes }) => [
    413,
    10027,
    `The request body is larger than ${limitBytes / MIB} MiB.`,
  ],
  "storage-refused": ({ detail }) => [400, 10147, detail],
  unsupported: ({ feature, advice }) => [400, 10021, `Sluice does not support ${feature}: ${advice}.`],
  "changed-meanwhile": ({ worker }) => [
    409,
    10021,
    `Somebody else changed "${worker}" at the same moment. Nothing of this change was recorded; run it again.`,
  ],

  // Uploads.
  "upload-invalid": ({ detail }) => [400, 10021, `The upload is not valid: ${detail}`],
  "version-too-large": ({ detail }) => [413, 10027, detail],
  "startup-failed": ({ message }) => [400, 10021, message],
  // One error per name: `toWire` writes them.
  "inherit-missing": ({ names }) => [400, 10057, names.join(", ")],
  "service-not-found": ({ name, service }) => [
    400,
    10143,
    `Could not resolve service binding '${name}'. Target script '${service}' not found: deploy it first.`,
  ],
  "class-not-found": ({ name, class_name, worker }) => [
    400,
    10061,
    `Cannot create binding '${name}' for class '${class_name}' of "${worker}" because it is not currently configured to implement Durable Objects. Add a migration with it to \`new_sqlite_classes\`.`,
  ],
  "class-not-exported": ({ classes }) => [
    400,
    10064,
    `The main module does not export ${classes.map((name) => `the class '${name}'`).join(", ")}, which Durable Objects depend on. Export it, or delete it with a \`deleted_classes\` migration.`,
  ],
  "migration-invalid": ({ detail }) => [400, 10079, `The migration cannot be applied: ${detail}.`],
  "migration-in-version": () => [
    400,
    10211,
    "Durable Object migrations cannot be part of a version that is only uploaded: apply them with `wrangler deploy`.",
  ],
  "script-in-version": () => [
    400,
    10021,
    "Versions of a Worker in service-worker syntax cannot be uploaded without being deployed: run `wrangler deploy`, or export the handlers instead, `export default { fetch(request, env, ctx) { … } }`.",
  ],
  "assets-session-invalid": () => [
    401,
    10000,
    "Authentication error: the token for this upload of assets is not valid here, or has expired. Start the upload again.",
  ],
  "assets-invalid": ({ detail }) => [400, 10021, `The assets are not valid: ${detail}.`],
  "validator-unavailable": ({ detail }) => [
    503,
    10013,
    `The upload could not be validated: ${detail}. Nothing was stored; try again.`,
  ],

  // Versions and deployments.
  "version-not-found": ({ worker, version }) => [
    404,
    100146,
    `The Worker "${worker}" has no version ${version}. \`wrangler versions list\` shows its versions.`,
  ],
  "deployment-not-found": ({ worker, deployment }) => [
    404,
    10007,
    `The Worker "${worker}" has no deployment ${deployment}.`,
  ],
  "no-deployment": ({ worker }) => [
    404,
    10007,
    `The Worker "${worker}" has no deployment yet. Run \`wrangler deploy\`.`,
  ],
  "deployment-invalid": ({ detail }) => [400, 10021, `The deployment is not valid: ${detail}.`],
  "before-migration": ({ worker, version }) => [
    400,
    10211,
    `Version ${version} of "${worker}" is older than its last Durable Object migration, so it can no longer be deployed. Upload its code again.`,
  ],
  "split-protected": ({ worker, versions }) => [
    409,
    10021,
    `"${worker}" is being rolled out (${versions.map((share) => `${share.version_id} ${share.percentage}%`).join(", ")}) and protected, so a newer version cannot take all of its traffic. Finish the split first, with \`wrangler versions deploy <version>@100%\` for one of its two versions or \`wrangler rollback\`; or lift the protection with \`sluice protect ${worker} off\`. Traffic has not changed.`,
  ],
  "code-unavailable": ({ version }) => [
    503,
    10013,
    `The code of version ${version} cannot be read at the moment. Try again.`,
  ],
  "version-unloadable": ({ worker, why }) => [
    503,
    10013,
    `Nothing was changed, because a version that would serve "${worker}" cannot be loaded: ${why}. Try again, or deploy another version.`,
  ],

  "version-quarantined": ({ worker, version, why }) => [
    409,
    10013,
    `Version ${version} of "${worker}" is in quarantine: ${why}. Nothing was changed. Deploy another version, or let this one run again with \`sluice release ${worker} ${version}\`.`,
  ],

  // Secrets.
  "secret-not-found": ({ worker, name }) => [
    404,
    10056,
    `The Worker "${worker}" has no secret named "${name}".`,
  ],
  "latest-not-deployed": ({ worker }) => [
    400,
    10215,
    `The latest version of "${worker}" does not serve all traffic, so a secret cannot be changed in place. Use \`wrangler versions secret\` and deploy the new version, or deploy the latest version first.`,
  ],
  // wrangler reads the names after the colon, asks, and sends the request again with ?force=true.
  "secrets-changed": ({ names }) => [
    400,
    10220,
    `The version was made before secrets changed, and would bring back their old values; \`wrangler rollback\` asks before it goes on, and ?force=true does without asking. The following secrets have changed: ${names.join(", ")}`,
  ],

  // Rollouts.
  "rollout-active": ({ worker, id }) => [
    409,
    10021,
    `"${worker}" has a rollout already (${id}). Wait until it ends, or end it with \`sluice rollout abort ${worker}\`.`,
  ],
  "rollout-not-found": ({ worker, id }) => [404, 10007, `The Worker "${worker}" has no rollout ${id}.`],
  "rollout-invalid": ({ detail }) => [400, 10021, `The rollout cannot be started: ${detail}.`],
  "rollout-smoke-failed": ({ version, request, why }) => [
    409,
    10021,
    `The rollout was not started, and traffic has not changed: version ${version}, asked for "${request}" by a smoke request of the plan, ${why}. Upload a version that answers it, or correct the plan.`,
  ],
  "rollout-state": ({ id, detail }) => [409, 10021, `This cannot be done: the rollout ${id} ${detail}.`],

  // Routes, domains, cron triggers, tails.
  "route-taken": ({ pattern, worker }) => [
    409,
    10020,
    `The route "${pattern}" belongs to the Worker "${worker}" already. Remove it there first, or choose another pattern.`,
  ],
  "route-not-found": ({ id }) => [404, 10007, `There is no route ${id}.`],
  "domain-taken": ({ hostname, worker }) => [
    409,
    10021,
    `The domain "${hostname}" belongs to the Worker "${worker}" already. Remove it there first, or choose another domain.`,
  ],
  "domain-not-found": ({ id }) => [404, 10007, `There is no custom domain ${id}.`],
  "cron-invalid": ({ detail }) => [400, 10100, `Invalid cron expression: ${detail}.`],
  "tail-not-found": ({ id }) => [404, 10007, `There is no tail ${id}.`],

  // What Workers are bound to.
  "resource-not-found": ({ kind, id }) => {
    const { what, code, command } = RESOURCES[kind];
    return [404, code, `There is no ${what} ${id}. ${command} shows what there is.`];
  },
  "resource-exists": ({ kind, name }) => {
    const { what, taken } = RESOURCES[kind];
    return [400, taken, `There is a ${what} named "${name}" already; choose another name.`];
  },
  "key-not-found": ({ key }) => [404, 10009, `get: 'key not found': there is no key "${key}".`],
  "bucket-not-empty": ({ bucket }) => [
    409,
    10008,
    `The bucket "${bucket}" is not empty: delete its objects first.`,
  ],
  "object-not-found": ({ key }) => [404, 10007, `The specified key does not exist: "${key}".`],
  "consumer-exists": ({ queue, worker }) => [
    400,
    11004,
    `The queue "${queue}" has the consumer "${worker}" already; remove it with \`wrangler queues consumer remove ${queue} ${worker}\` first.`,
  ],
  "consumer-not-found": ({ queue, consumer }) => [
    404,
    11003,
    `The queue "${queue}" has no consumer ${consumer}.`,
  ],
  "query-failed": ({ detail }) => [400, 7500, detail],
};

/** The answer to a refusal. */
export function toWire(error: SluiceError): WireError {
  const answer = ANSWERS[error.reason] as (error: SluiceError) => Answer;
  const [status, code, message] = answer(error);
  if (error.reason !== "inherit-missing") return { status, errors: [{ code, message }] };
  return { status, errors: error.names.map((name) => ({ code, message: inheritMissing(name) })) };
}

function inheritMissing(name: string): string {
  return `inherit binding '${name}' is invalid: the previous version has no binding of that name. Set it first, for a secret with \`wrangler secret put ${name}\`.`;
}
