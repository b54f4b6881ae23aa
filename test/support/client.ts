/** Uploads and deployments through the API, as wrangler sends them but in milliseconds. Each reply's envelope is checked. */
import { expect } from "vitest";
import type { Server } from "./server.ts";

export interface Reply {
  readonly status: number;
  readonly success: boolean;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
  // The API's own shapes are asserted by the tests that look at them.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly result: any;
}

export interface Upload {
  readonly modules?: Readonly<
    Record<string, { readonly content: string | Uint8Array; readonly type?: string }>
  >;
  /** Replaces keys of the metadata; undefined removes one. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A Worker that answers with its own name for the version. */
export function answering(text: string): Upload {
  return {
    modules: {
      "index.js": { content: `export default { fetch: () => new Response(${JSON.stringify(text)}) };` },
    },
  };
}

export function uploadForm(upload: Upload): FormData {
  const metadata = {
    main_module: "index.js",
    compatibility_date: "2026-11-17",
    bindings: [],
    ...upload.metadata,
  };
  const form = new FormData();
  form.set("metadata", JSON.stringify(metadata));
  for (const [name, { content, type }] of Object.entries(upload.modules ?? {})) {
    const part = typeof content === "string" ? content : new Uint8Array(content);
    form.append(name, new File([part], name, { type: type ?? "application/javascript+module" }));
  }
  return form;
}

/** Calls the API and checks that the reply is an envelope that agrees with its status. */
export async function call(server: Server, method: string, path: string, body?: unknown): Promise<Reply> {
  const init: RequestInit =
    body === undefined
      ? {}
      : body instanceof FormData
        ? { body }
        : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return readEnvelope(await server.api(method, path, init));
}

export async function readEnvelope(response: Response): Promise<Reply> {
  const envelope = await response.json();
  expect(envelope).toMatchObject({
    success: response.ok,
    errors: expect.any(Array),
    messages: expect.any(Array),
  });
  if (!response.ok) {
    expect(envelope.errors.length).toBeGreaterThan(0);
    for (const error of envelope.errors) {
      expect(error).toEqual({ code: expect.any(Number), message: expect.stringMatching(/\S/) });
    }
  }
  return { status: response.status, ...envelope };
}

/** Whether this is the run in which every Worker has two versions (project `split` of vitest.config.ts). */
export const IS_SPLIT = process.env.SLUICE_TEST_SPLIT !== undefined;

/** How many processes serve, in turn. Where it is about two versions, one is enough. */
export const PROCESSES = IS_SPLIT ? [1] : [1, 2];

/**
 * PUT of the script: a version at 100%. Returns its id. In the project `split`, a second version of the same upload gets half
 * of the traffic: what a test expects of a Worker holds for two versions of it as well.
 */
export async function deploy(server: Server, worker: string, upload: Upload): Promise<string> {
  const reply = await call(server, "PUT", `/workers/scripts/${worker}`, uploadForm(upload));
  expect(reply.errors).toEqual([]);
  const id: string = reply.result.deployment_id;
  // Service-worker syntax is only deployed, never uploaded.
  if (IS_SPLIT && upload.metadata?.body_part === undefined) {
    // A migration has been applied by now, and would be refused.
    const second = { ...upload, metadata: { ...upload.metadata, migrations: undefined } };
    const shares = [
      [id, 50],
      [await uploadVersion(server, worker, second), 50],
    ] as const;
    expect((await createDeployment(server, worker, shares)).errors).toEqual([]);
  }
  return id;
}

/** POST of a version. Returns its id. */
export async function uploadVersion(server: Server, worker: string, upload: Upload): Promise<string> {
  const reply = await call(server, "POST", `/workers/scripts/${worker}/versions`, uploadForm(upload));
  expect(reply.errors).toEqual([]);
  return reply.result.id;
}

/** POST of a deployment, e.g. `[[stable, 90], [candidate, 10]]`. */
export function createDeployment(
  server: Server,
  worker: string,
  shares: readonly (readonly [string, number])[],
  message?: string,
): Promise<Reply> {
  return call(server, "POST", `/workers/scripts/${worker}/deployments`, {
    strategy: "percentage",
    versions: shares.map(([version_id, percentage]) => ({ version_id, percentage })),
    annotations: message === undefined ? {} : { "workers/message": message },
  });
}
