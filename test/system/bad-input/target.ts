/** What every refusal of these tests must leave as it is, and the form that a refusal has. */
import { afterAll, beforeAll, expect } from "vitest";
import {
  answering,
  call,
  createDeployment,
  deploy,
  type Reply,
  readEnvelope,
  type Upload,
  uploadForm,
  uploadVersion,
} from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { storedValues } from "../../support/stored.ts";
import { answersFor, keys } from "../helpers.ts";

export const MiB = 1024 * 1024;
export const SCRIPT = "/workers/scripts/target";
export const MODULE = "application/javascript+module";
export const GOOD = "export default { fetch: () => new Response('this must never serve') };";

export let server: Server;
export let stable: string;
export let candidate: string;
export let foreign: string;

/** Starts the server of the file, with Workers that every refusal must leave as they are. */
export function useTarget(): void {
  beforeAll(async () => {
    server = await startServer();
    stable = await deploy(server, "target", {
      ...answering("stable"),
      metadata: {
        bindings: [
          { type: "plain_text", name: "GREETING", text: "hello" },
          { type: "secret_text", name: "KEPT", text: "secret" },
        ],
      },
    });
    candidate = await uploadVersion(server, "target", answering("candidate"));
    foreign = await deploy(server, "other", answering("other"));
    await createDeployment(server, "target", [
      [stable, 70],
      [candidate, 30],
    ]);
    // Serves alone, so that its secrets could be changed in place.
    await deploy(server, "alone", answering("alone"));
  });
  afterAll(() => disposeServer(server));
}

/** Everything that a refused request could have changed. */
async function everything() {
  const read = (path: string) => call(server, "GET", path);
  const [target, other, alone] = await Promise.all([
    Promise.all(
      ["versions", "deployments", "secrets", "settings", "script-settings", "subdomain"].map((part) =>
        read(`${SCRIPT}/${part}`),
      ),
    ),
    read("/workers/scripts/other/versions"),
    read("/workers/scripts/alone/versions"),
  ]);
  return {
    target,
    other,
    alone,
    stored: storedValues(server).map(({ key, content }) => `${key} ${content.length}`),
    answers: [...(await answersFor(server, "target", keys(12)))],
  };
}

/** Runs what must be refused and checks that everything is as it was. */
export async function changingNothing<T>(run: () => Promise<T>): Promise<T> {
  const before = await everything();
  const outcome = await run();
  expect(await everything()).toEqual(before);
  return outcome;
}

export interface Refusal {
  readonly status?: number;
  readonly code?: number;
  /** Each must occur in the messages. */
  readonly says: readonly (string | RegExp)[];
}

export function expectRefusal(reply: Reply, { status = 400, code, says }: Refusal): void {
  const messages = reply.errors.map(({ message }) => message).join("\n");
  expect({ status: reply.status, success: reply.success, result: reply.result }, messages).toEqual({
    status,
    success: false,
    result: null,
  });
  if (code !== undefined) expect(reply.errors.map((error) => error.code)).toEqual([code]);
  for (const words of says) {
    if (typeof words === "string") expect(messages).toContain(words);
    else expect(messages).toMatch(words);
  }
  // A message is for the person who called: nothing of how it is built.
  expect(messages).not.toMatch(/\bat \S+ \(|ZodError|\[object|\[native|SQLITE|file:\/\/|__sluice_main/);
}

export interface Body {
  readonly body: FormData | Uint8Array<ArrayBuffer> | string;
  readonly type?: string;
}

/** Sends an upload in the three ways in which one can come: as a version, as a deploy, and to make a Worker. */
export async function expectUploadRefused({ body, type }: Body, refusal: Refusal): Promise<void> {
  await changingNothing(async () => {
    for (const [method, path] of [
      ["POST", `${SCRIPT}/versions`],
      ["PUT", SCRIPT],
      ["PUT", "/workers/scripts/never"],
    ] as const) {
      const headers = type === undefined ? {} : { headers: { "Content-Type": type } };
      expectRefusal(await readEnvelope(await server.api(method, path, { body, ...headers })), refusal);
    }
    expectRefusal(await call(server, "GET", "/workers/services/never"), {
      status: 404,
      code: 10007,
      says: ["never"],
    });
    expect((await server.traffic("never")).status).toBe(404);
  });
}

export const form = (upload: Upload): Body => ({
  body: uploadForm({ modules: { "index.js": { content: GOOD } }, ...upload }),
});

/** The upload with the bytes that a client would send. */
export async function multipart(): Promise<{
  bytes: Uint8Array<ArrayBuffer>;
  type: string;
  boundary: string;
}> {
  const whole = new Response(uploadForm({ modules: { "index.js": { content: GOOD } } }));
  const type = whole.headers.get("Content-Type") ?? "";
  const bytes = new Uint8Array(await whole.arrayBuffer());
  return { bytes, type, boundary: /boundary=(.*)$/.exec(type)?.[1] ?? "" };
}
