/** What clients get where a version fails, or where its code or its record was lost. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  answering,
  call,
  createDeployment,
  deploy,
  IS_SPLIT,
  uploadForm,
  uploadVersion,
} from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { damage, damageCode, storedCode } from "../../support/stored.ts";
import { answersFor, inParallel, keys, logged, NAMING_ITSELF } from "../helpers.ts";
import { code, KEY, OVERRIDES, split } from "./helpers.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

describe("a version that fails", () => {
  test("while answering a request returns a 500 without internals, and keeps serving", async () => {
    const id = await deploy(
      server,
      "throwing",
      code(`export default {
        async fetch(request) {
          const { pathname } = new URL(request.url);
          if (pathname === "/throw") throw new Error("password=hunter2");
          if (pathname === "/null") throw null;
          if (pathname === "/reject") await Promise.reject(new TypeError("password=hunter2"));
          if (pathname === "/nothing") return undefined;
          if (pathname === "/wrong") return { status: 200 };
          if (pathname === "/own") return new Response("my own words", { status: 500 });
          return new Response("fine");
        },
      };`),
    );
    for (const path of ["/throw", "/null", "/reject", "/nothing", "/wrong"]) {
      const answer = await server.traffic("throwing", { path, method: "POST", body: "a body" });
      expect([path, answer.status]).toEqual([path, 500]);
      expect(answer.body).toBe("The Worker failed to answer this request.\n");
      expect(JSON.stringify(answer)).not.toMatch(new RegExp(`hunter2|Error:|index\\.js|${id.slice(0, 8)}`));
      expect((await server.traffic("throwing")).body).toBe("fine");
    }
    expect(await server.traffic("throwing", { path: "/own" })).toMatchObject({
      status: 500,
      body: "my own words",
    });
    // The operator does learn why.
    await waitUntil(() => server.output.includes("password=hunter2"));
  });

  test.each([
    ["no default export but a class", "export class Room {}"],
    ["no default export but a handler", "export const other = { fetch: () => new Response('other') };"],
    ["no exports at all", "globalThis.value = 1;"],
    ["no fetch handler", "export default { scheduled() {} };"],
    ["an empty default export", "export default {};"],
    ["a fetch that is no function", "export default { fetch: 7 };"],
  ])("because it has %s returns a 500 or is refused, and never hangs", async (what, content) => {
    const worker = `lacking-${what.length}`;
    const reply = await call(server, "PUT", `/workers/scripts/${worker}`, uploadForm(code(content)));
    if (!reply.success) {
      expect(reply.status).toBe(400);
      expect((await server.traffic(worker)).status).toBe(404);
      return;
    }
    const answer = await server.traffic(worker);
    expect(answer.status).toBe(500);
    expect(answer.body).not.toMatch(/entrypoint|Error|sluice/i);
    await deploy(server, worker, answering("repaired"));
    expect((await server.traffic(worker)).body).toBe("repaired");
  });

  test("does not make the router retry the other version: no body is sent twice", async () => {
    const stable = await deploy(
      server,
      "alone",
      code("export default { fetch: async (request) => new Response(await request.text()) };"),
    );
    const candidate = await uploadVersion(
      server,
      "alone",
      code(
        "export default { async fetch(request) { await request.text(); throw new Error('after the body'); } };",
      ),
    );
    await split(server, "alone", [stable, 50], [candidate, 50]);
    for (const key of keys(30)) {
      const { result } = await call(server, "GET", `/workers/scripts/alone/explain?key=${key}`);
      const answer = await server.traffic("alone", { method: "POST", body: key, headers: { [KEY]: key } });
      expect([answer.status, answer.body]).toEqual(
        result.version_id === stable ? [200, key] : [500, "The Worker failed to answer this request.\n"],
      );
    }
  });
});

describe("stored code that was lost or damaged while the server was stopped", () => {
  const WORKERS = [
    ...["missing", "empty", "garbled", "cut-off", "another-program"],
    ...["stable-missing", "both-missing", "record", "bystander"],
  ] as const;
  type Damaged = (typeof WORKERS)[number];

  const ECHO_ID = {
    ...code(`export default {
      fetch: async (request, env) => new Response(env.VERSION.id + (await request.text())),
    };`),
    metadata: { bindings: [{ type: "version_metadata", name: "VERSION" }] },
  };
  const ids = {} as Record<Damaged, { readonly stable: string; readonly candidate: string }>;

  beforeAll(async () => {
    for (const worker of WORKERS) {
      const stable = await deploy(server, worker, ECHO_ID);
      const candidate = await uploadVersion(server, worker, ECHO_ID);
      await createDeployment(server, worker, [
        [stable, 50],
        [candidate, 50],
      ]);
      ids[worker] = { stable, candidate };
    }
    expect(await server.stop()).toBe(0);

    const code = (id: string) => storedCode(server, id)[0]?.content ?? Buffer.alloc(0);
    damageCode(server, ids.missing.candidate);
    damageCode(server, ids.empty.candidate, "");
    damageCode(server, ids.garbled.candidate, randomBytes(2000));
    const cut = ids["cut-off"].candidate;
    damageCode(server, cut, code(cut).subarray(0, -10));
    const other = ids["another-program"].candidate;
    damageCode(server, other, code(other).toString().replace("export default", "throw new Err("));
    damageCode(server, ids["stable-missing"].stable);
    damageCode(server, ids["both-missing"].stable);
    damageCode(server, ids["both-missing"].candidate, "garbage");
    damage(server, "deployment/record", '{"schema":1,"worker":"record","ver');

    server = await startServer({ like: server });
  });

  test.skipIf(IS_SPLIT).each(["missing", "empty", "garbled", "cut-off", "another-program"] as const)(
    "of the candidate (%s): the stable version serves everybody, bodies arrive complete, and the next deploy repairs it",
    async (worker) => {
      const { stable, candidate } = ids[worker];
      await inParallel(4, keys(40), async (key) => {
        const answer = await server.traffic(worker, {
          method: "POST",
          body: ` ${key}`,
          headers: { [KEY]: key },
        });
        expect([answer.status, answer.body]).toEqual([200, `${stable} ${key}`]);
      });
      const headers = { [OVERRIDES]: `${worker}="${candidate}"` };
      expect(await server.traffic(worker, { headers })).toMatchObject({ status: 200, body: stable });
      await waitUntil(() =>
        logged(server, "version-unavailable").some(({ version }) => version === candidate),
      );

      const healed = await deploy(server, worker, NAMING_ITSELF);
      expect((await server.traffic(worker)).body).toBe(healed);
    },
  );

  test("of the stable version: the candidate serves everybody", async () => {
    const answers = await answersFor(server, "stable-missing", keys(20));
    expect(new Set(answers.values())).toEqual(new Set([ids["stable-missing"].candidate]));
  });

  test("of both versions: 503 with Retry-After and no internals, the API keeps working, and the next deploy repairs it", async () => {
    const { stable, candidate } = ids["both-missing"];
    for (const key of keys(5)) {
      const answer = await server.traffic("both-missing", { headers: { [KEY]: key } });
      expect(answer.status).toBe(503);
      expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
      expect(answer.body).not.toMatch(new RegExp(`KV|Error|${stable.slice(0, 8)}|${candidate.slice(0, 8)}`));
    }
    // The latest version's code is what a secret would be added to.
    const secret = await call(server, "PATCH", "/workers/workers/both-missing/versions/latest", {
      env: { A: { type: "secret_text", text: "x" } },
    });
    expect(secret).toMatchObject({ status: 503, success: false });
    expect(secret.errors[0]?.message).toContain(candidate);
    const healed = await deploy(server, "both-missing", NAMING_ITSELF);
    const active = (await call(server, "GET", "/workers/scripts/both-missing/deployments")).result
      .deployments[0];
    const serving = active.versions.map((share: { version_id: string }) => share.version_id);
    expect(serving).toContain(healed);
    expect(serving).not.toContain(candidate);
    expect(serving).toContain((await server.traffic("both-missing")).body);
  });

  test("and a deployment record that does not parse: 503 with Retry-After until the next deployment", async () => {
    const answer = await server.traffic("record");
    expect(answer.status).toBe(503);
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    const { stable } = ids.record;
    expect((await createDeployment(server, "record", [[stable, 100]])).errors).toEqual([]);
    expect((await server.traffic("record")).body).toBe(stable);
  });

  test("does not affect other Workers", async () => {
    const { stable, candidate } = ids.bystander;
    const answers = await answersFor(server, "bystander", keys(50));
    expect(new Set(answers.values())).toEqual(new Set([stable, candidate]));
    expect(logged(server, "version-unavailable").filter(({ worker }) => worker === "bystander")).toEqual([]);
  });
});
