/**
 * What people begin with: Cloudflare's own templates, and Hono's starter among them, as `npm create cloudflare` copies them
 * (they are in that package), and chanfana's example for D1 (it is in that package's documentation: the registry has no
 * template with a database). Nothing in them is changed but the two places that the command fills in.
 */
import { cp, readFile, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { call, createDeployment } from "../support/client.ts";
import { disposeServer, ROOT, type Server, startServer, waitUntil } from "../support/server.ts";
import { Project } from "../support/wrangler.ts";
import { COMPATIBILITY_DATE, idAfter, succeed } from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

interface Template {
  /** Folder in the package. */
  readonly folder: string;
  readonly worker: string;
  /** Status and a part of the body, by path. */
  readonly answers: Readonly<Record<string, readonly [status: number, says: string]>>;
}

const GREETING = "Hello, world!";
const PAGE = [200, "<h1"] as const;

const TEMPLATES: readonly Template[] = [
  { folder: "hello-world/js", worker: "hello-js", answers: { "/": [200, "Hello World!"] } },
  { folder: "hello-world/ts", worker: "hello-ts", answers: { "/": [200, "Hello World!"] } },
  {
    folder: "hello-world-assets-only/templates",
    worker: "static",
    answers: { "/": PAGE, "/index.html": [307, ""], "/nothing": [404, ""] },
  },
  {
    folder: "hello-world-with-assets/js",
    worker: "full-js",
    answers: { "/": PAGE, "/message": [200, "Hello, World!"], "/nothing": [404, "Not Found"] },
  },
  {
    folder: "hello-world-with-assets/ts",
    worker: "full-ts",
    answers: { "/": PAGE, "/message": [200, "Hello, World!"], "/nothing": [404, "Not Found"] },
  },
  { folder: "hello-world-durable-object/js", worker: "object-js", answers: { "/": [200, GREETING] } },
  { folder: "hello-world-durable-object/ts", worker: "object-ts", answers: { "/": [200, GREETING] } },
  {
    folder: "hello-world-durable-object-with-assets/ts",
    worker: "object-page",
    answers: { "/": PAGE, "/other": [200, GREETING] },
  },
  { folder: "queues/ts", worker: "queues-ts", answers: { "/": [200, "Sent message to the queue"] } },
  { folder: "scheduled/ts", worker: "cron-ts", answers: { "/": [200, "To test the scheduled handler"] } },
  {
    folder: "hono/workers/templates",
    worker: "hono",
    answers: { "/": PAGE, "/message": [200, "Hello Hono!"] },
  },
  {
    folder: "openapi/ts",
    worker: "openapi",
    answers: {
      "/": [200, "swagger"],
      "/api/tasks": [200, '"success":true'],
      "/openapi.json": [200, '"openapi"'],
    },
  },
];

/** As `npm create cloudflare` does it. */
async function create({ folder, worker }: Template): Promise<Project> {
  const project = await Project.create(server, {});
  onTestFinished(() => project.dispose());
  await cp(join(ROOT, "node_modules/create-cloudflare/templates", folder), project.folder, {
    recursive: true,
  });
  const config = join(project.folder, "wrangler.jsonc");
  const text = await readFile(config, "utf8");
  const filled = text
    .replaceAll("<WORKER_NAME>", worker)
    .replaceAll("<COMPATIBILITY_DATE>", COMPATIBILITY_DATE);
  await writeFile(config, filled);
  await rename(join(project.folder, "__dot__gitignore"), join(project.folder, ".gitignore")).catch(() => {});
  await symlink(join(ROOT, "node_modules"), join(project.folder, "node_modules"));
  return project;
}

async function expectAnswers(worker: string, answers: Template["answers"]): Promise<void> {
  for (const [path, [status, says]] of Object.entries(answers)) {
    const answer = await server.traffic(worker, { path });
    expect([path, answer.status]).toEqual([path, status]);
    expect(answer.body).toContain(says);
  }
}

/** Deploys it as it is, then as two versions that share the traffic, and asks it each time. */
async function expectWorks(project: Project, worker: string, check: () => Promise<void>): Promise<void> {
  const first = idAfter("Current Version ID", await succeed(project, "deploy"));
  await check();
  const second = idAfter("Worker Version ID", await succeed(project, "versions", "upload"));
  const shares = [[first, 50] as const, [second, 50] as const];
  expect((await createDeployment(server, worker, shares)).errors).toEqual([]);
  for (let i = 0; i < 4; i++) await check();
}

test.each(TEMPLATES.map((template) => [template.folder, template] as const))(
  "%s deploys and answers unchanged, alone and as two versions at 50/50",
  async (_, template) => {
    const project = await create(template);
    await expectWorks(project, template.worker, () => expectAnswers(template.worker, template.answers));
    expect(server.output).not.toContain("control-fault");
  },
);

test("the queue template's messages reach its own consumer", async () => {
  await waitUntil(() => /message [0-9a-f]{32} processed: \{\\"url\\"/.test(server.output));
});

test("chanfana's example for D1 keeps a user in its database, alone and as two versions at 50/50", async () => {
  const docs = await readFile(join(ROOT, "node_modules/chanfana/docs/endpoints/auto/d1.md"), "utf8");
  const block = (language: string) =>
    new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(docs)?.[1] ?? "";
  const project = await Project.create(server, {
    "wrangler.toml": block("toml"),
    "src/index.ts": block("typescript"),
  });
  onTestFinished(() => project.dispose());
  await symlink(join(ROOT, "node_modules"), join(project.folder, "node_modules"));
  let users = 0;
  await expectWorks(project, "my-chanfana-d1-api", async () => {
    if (users === 0) {
      const table =
        "CREATE TABLE users (id TEXT PRIMARY KEY, username TEXT, email TEXT, fullName TEXT, createdAt TEXT)";
      await succeed(project, "d1", "execute", "my-database", "--remote", "-y", "--command", table);
    }
    const user = {
      id: crypto.randomUUID(),
      username: `user${users++}`,
      email: "a@example.com",
      fullName: "Anna",
      createdAt: "2026-11-23T00:00:00Z",
    };
    const answer = await server.traffic("my-chanfana-d1-api", {
      method: "POST",
      path: "/users",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(user),
    });
    expect([answer.status, JSON.parse(answer.body)]).toEqual([201, { success: true, result: user }]);
    // The id that the example has in its configuration.
    const path = "/d1/database/your-database-id/query";
    const asked = await call(server, "POST", path, { sql: "SELECT username FROM users" });
    expect(asked.result[0].results).toHaveLength(users);
  });
});
