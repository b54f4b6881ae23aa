/** What Sluice does not run: refused by name, with what to do about it, and without a trace. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, createDeployment, deploy, uploadForm, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import {
  activeSplit,
  answer,
  deploymentsOf,
  expectNotServed,
  fail,
  idAfter,
  leavesAlone,
  type ProjectOptions,
  succeed,
  textOf,
  useProject,
  versionsOf,
} from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

interface Refusal {
  readonly what: string;
  readonly options: ProjectOptions;
  readonly args?: readonly string[];
  /** What wrangler must print: the feature, and what to do. */
  readonly says: readonly (string | RegExp)[];
}

const SERVICE_WORKER = `addEventListener("fetch", (event) => event.respondWith(new Response("old")));`;
const UNSTARTABLE = `throw new Error("not while it starts"); export default {};`;
const CERTIFICATE = "99f5fef1-6cc1-46b8-bd79-44a0d5082b8d";

const REFUSALS: readonly Refusal[] = [
  {
    what: "service-worker syntax",
    options: { code: SERVICE_WORKER },
    says: ["service-worker syntax", "wrangler deploy", "export default { fetch(request, env, ctx)", "10021"],
  },
  {
    what: "smart placement",
    options: { config: { placement: { mode: "smart" } } },
    says: ["does not support smart placement", "remove `placement` from the configuration", "10021"],
  },
  {
    what: "an mTLS certificate binding",
    options: { config: { mtls_certificates: [{ binding: "CERT", certificate_id: CERTIFICATE }] } },
    says: ['binding "CERT" of type mtls_certificate', "let a proxy in front", "10021"],
  },
  {
    what: "a binding of a type that does not run here",
    options: { config: { vectorize: [{ binding: "INDEX", index_name: "words" }] } },
    says: ['binding "INDEX" of type vectorize', "keep vectors in D1", "10021"],
  },
  {
    what: "a Durable Object class that no migration made",
    options: {
      config: { durable_objects: { bindings: [{ name: "ROOM", class_name: "Room" }] } },
      code: `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {}
${answer("room")}`,
    },
    says: ["Room", "new_sqlite_classes", "10061"],
  },
  {
    what: "a preview alias that is no part of a hostname",
    options: {},
    args: ["--preview-alias", "Feature_X"],
    says: ["an alias has lower-case letters", "10021"],
  },
  {
    what: "code that throws while it starts (its message and its line in the source are shown)",
    options: {
      config: { main: "src/index.ts" },
      files: {
        "src/index.ts":
          'interface A { a: 1 }\nexport default { fetch: (): Response => new Response() };\nthrow new Error("no database");\n',
      },
    },
    says: ["Uncaught Error: no database", /src\/index\.ts:3:7/, "10021"],
  },
  {
    what: "a module that the runtime does not have",
    options: { code: 'import { serve } from "cloudflare:nothing";\nexport default { fetch: serve };\n' },
    says: ["cloudflare:nothing", "10021"],
  },
  {
    what: "a required secret that was never set, which the upload wants to inherit",
    options: { config: { secrets: { required: ["API_KEY", "OTHER"] } } },
    says: [
      "The following required secrets have not been set: API_KEY, OTHER",
      "wrangler versions secret put <NAME>",
    ],
  },
  {
    what: "a file of redirects with a line that is wrong",
    options: {
      config: { assets: { directory: "public" } },
      files: { "public/index.html": "hello", "public/_redirects": "/a /b\n/* /index.html 200\n" },
    },
    says: ["in _redirects, line 2", "redirects to itself", "10021"],
  },
];

describe("versions upload is refused and leaves versions, deployments and traffic as they were, for", () => {
  const worker = "steady";
  beforeAll(() => seedSplit(worker));

  test.each(REFUSALS.map((refusal) => [refusal.what, refusal] as const))("%s", async (_, refusal) => {
    const { options, args = [], says } = refusal;
    const project = await useProject(server, worker, options);

    const output = await leavesAlone(server, worker, () => fail(project, "versions", "upload", ...args));

    for (const said of says) expect(output).toMatch(said);
  });
});

describe("deploy is refused too", () => {
  test("for a new Worker, of which nothing is left behind, and goes through once the cause is gone", async () => {
    const project = await useProject(server, "reborn", { code: UNSTARTABLE });

    expect(await fail(project, "deploy")).toContain("not while it starts");
    await expectNotServed(server, "reborn");
    expect((await server.api("GET", "/workers/services/reborn")).status).toBe(404);

    await project.write("src/index.js", answer("modern"));
    const id = idAfter("Current Version ID", await succeed(project, "deploy"));
    expect(await textOf(server, "reborn")).toBe("modern");
    expect(await versionsOf(server, "reborn")).toMatchObject([{ id, number: 1 }]);
  });

  test("for a Worker that serves, which keeps serving the same version", async () => {
    await seedSplit("serving");
    const project = await useProject(server, "serving", {
      code: `${answer("new")}throw new Error("broken");`,
    });
    const output = await leavesAlone(server, "serving", () => fail(project, "deploy"));
    expect(output).toContain("Uncaught Error: broken");
    expect(output).toContain("[code: 10021]");
  });
});

describe("triggers deploy is refused and leaves versions, deployments and traffic as they were, for", () => {
  test("a cron expression that is not valid, and a route of another Worker, each by its name", async () => {
    await deploy(server, "owner", answering("owner"));
    await call(server, "PUT", "/workers/scripts/owner/routes", [{ pattern: "taken.example.com/*" }]);
    await seedSplit("triggers");
    const config = {
      triggers: { crons: ["61 * * * *"] },
      routes: ["taken.example.com/*"],
      workers_dev: true,
    };
    const project = await useProject(server, "triggers", { config });

    const output = await leavesAlone(server, "triggers", () => fail(project, "triggers", "deploy"));

    expect(output).toContain('"61 * * * *" is not valid');
    expect(output).toContain('The route "taken.example.com/*" belongs to the Worker "owner" already.');
    expect((await call(server, "GET", "/workers/scripts/triggers/schedules")).result.schedules).toEqual([]);
    expect((await call(server, "GET", "/workers/scripts/triggers/routes")).result).toEqual([]);
  });
});

test("a cron trigger that is wrong fails deploy only after the code is live, which is wrangler's order, and the code stays live", async () => {
  await deploy(server, "cron-deploy", answering("one"));
  const project = await useProject(server, "cron-deploy", {
    code: answer("two"),
    config: { triggers: { crons: ["61 * * * *"] } },
  });

  const output = await fail(project, "deploy");

  expect(output).toContain('Invalid cron expression: "61 * * * *" is not valid');
  expect(output).toContain("Successful trigger changes were not rolled back.");
  const [latest] = await versionsOf(server, "cron-deploy");
  expect(await activeSplit(server, "cron-deploy")).toEqual([[latest.id, 100]]);
  expect(await textOf(server, "cron-deploy")).toBe("two");
});

test("an inherited binding that is missing is answered with 10057 once per name, and nothing is stored", async () => {
  await deploy(server, "heir", answering("heir"));
  const bindings = ["FIRST", "SECOND"].map((name) => ({ type: "inherit", name }));
  const upload = uploadForm({ ...answering("new"), metadata: { bindings } });

  const reply = await leavesAlone(server, "heir", () =>
    call(server, "POST", "/workers/scripts/heir/versions?bindings_inherit=strict", upload),
  );

  expect(reply.status).toBe(400);
  expect(reply.errors).toEqual([
    { code: 10057, message: expect.stringMatching(/^inherit binding 'FIRST' is invalid/) },
    { code: 10057, message: expect.stringMatching(/^inherit binding 'SECOND' is invalid/) },
  ]);
});

test("after all these refusals the same Worker takes the next good upload", async () => {
  const stable = await deploy(server, "patient", answering("one"));
  const project = await useProject(server, "patient", { code: UNSTARTABLE });
  await fail(project, "versions", "upload");
  await project.write("src/index.js", answer("two"));
  const id = idAfter("Worker Version ID", await succeed(project, "versions", "upload"));
  expect((await versionsOf(server, "patient")).map((version) => version.id)).toEqual([id, stable]);
  expect(await deploymentsOf(server, "patient")).toHaveLength(1);
});

/** Two versions that give the same answer, at 90/10. */
async function seedSplit(worker: string): Promise<void> {
  const a = await deploy(server, worker, answering("steady"));
  const b = await uploadVersion(server, worker, answering("steady"));
  await createDeployment(server, worker, [
    [a, 90],
    [b, 10],
  ]);
}
