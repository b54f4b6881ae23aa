/** What leads to a Worker beside its own hostname: routes, custom domains, cron triggers, previews; and its deletion. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../support/server.ts";
import { send } from "../system/helpers.ts";
import {
  activeSplit,
  answer,
  expectNotServed,
  fail,
  idAfter,
  succeed,
  textOf,
  useProject,
} from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

const ask = async (host: string, path = "/", at = server) => {
  const { status, body } = await send({ port: at.trafficPort, host, path });
  return status === 200 ? body.toString() : status;
};

/** Gives a Worker a custom domain. */
async function useDomain(worker: string, hostname: string): Promise<void> {
  const path = `/workers/scripts/${worker}/domains/records`;
  expect((await call(server, "PUT", path, { origins: [{ hostname }] })).errors).toEqual([]);
}

describe("routes and custom domains", () => {
  test("are made by deploy, changed by triggers deploy, and lead nowhere when they are gone", async () => {
    const routes = [
      { pattern: "shop.example.com/api/*", zone_name: "example.com" },
      "*.example.net/*",
      { pattern: "www.example.org", custom_domain: true },
    ];
    const project = await useProject(server, "routed", { config: { routes, workers_dev: true } });
    const output = await succeed(project, "deploy");
    expect(output).toContain("shop.example.com/api/* (zone name: example.com)");
    expect(output).toContain("www.example.org (custom domain)");
    expect(await ask("shop.example.com", "/api/x")).toBe("routed");
    expect(await ask("shop.example.com", "/other")).toBe(404);
    expect(await ask("a.example.net")).toBe("routed");
    expect(await ask("www.example.org", "/any")).toBe("routed");
    expect(await textOf(server, "routed")).toBe("routed");

    const changed = { routes: ["shop.example.com/*"], workers_dev: false };
    await project.write(
      "wrangler.json",
      JSON.stringify({ name: "routed", main: "src/index.js", compatibility_date: "2026-11-17", ...changed }),
    );
    await succeed(project, "triggers", "deploy");
    expect(await ask("shop.example.com", "/other")).toBe("routed");
    expect(await ask("a.example.net")).toBe(404);
    await expectNotServed(server, "routed");
  });

  test("follow the split of their Worker", async () => {
    const project = await useProject(server, "split-route", {
      config: { routes: ["split.example.com/*"] },
      code: answer("one"),
    });
    const first = idAfter("Current Version ID", await succeed(project, "deploy"));
    const second = await uploadVersion(server, "split-route", answering("two"));
    expect(await ask("split.example.com")).toBe("one");
    const shares = [[first, 0] as const, [second, 100] as const];
    expect((await createDeployment(server, "split-route", shares)).errors).toEqual([]);
    expect(await ask("split.example.com")).toBe("two");
  });

  test("of another Worker are refused: a route always, a domain unless it is taken over", async () => {
    await deploy(server, "owner", answering("owner"));
    await call(server, "PUT", "/workers/scripts/owner/routes", [{ pattern: "mine.example.com/*" }]);
    await useDomain("owner", "mine.example.org");
    const thief = await useProject(server, "thief", { config: { routes: ["mine.example.com/*"] } });
    expect(await fail(thief, "deploy")).toContain(
      'The route "mine.example.com/*" belongs to the Worker "owner" already',
    );
    expect(await ask("mine.example.com")).toBe("owner");
    for (const pattern of ["Mine.Example.com/*", "https://mine.example.com/*"]) {
      const spelled = await call(server, "PUT", "/workers/scripts/thief/routes", [{ pattern }]);
      expect([spelled.status, spelled.errors[0]?.code], pattern).toEqual([409, 10020]);
    }
    const origins = { origins: [{ hostname: "mine.example.org" }] };
    const refused = await call(server, "PUT", "/workers/scripts/thief/domains/records", origins);
    expect([refused.status, refused.errors[0]?.message]).toEqual([
      409,
      expect.stringContaining('belongs to the Worker "owner"'),
    ]);
    // Without a terminal wrangler says yes to that.
    const heir = await useProject(server, "heir", {
      config: { routes: [{ pattern: "mine.example.org", custom_domain: true }] },
    });
    await succeed(heir, "deploy");
    expect(await ask("mine.example.org")).toBe("heir");
  });

  test("of a domain are asked about in a terminal before they move", async () => {
    const config = { routes: [{ pattern: "asked.example.org", custom_domain: true }] };
    await deploy(server, "asked-first", answering("asked-first"));
    await useDomain("asked-first", "asked.example.org");
    const second = await useProject(server, "asked-second", { config });
    const terminal = second.terminal(["deploy"]);
    await terminal.answer('asked.example.org (used as a domain for "asked-first")', "n");
    const { output } = await terminal.end();
    expect(output).toContain("was skipped, fix conflict and try again");
    expect(await ask("asked.example.org")).toBe("asked-first");
  });

  test("reach every traffic process at once", async () => {
    const several = await useServer({ args: ["--processes", "2"] });
    const project = await useProject(several, "wide", { config: { routes: ["wide.example.com/*"] } });
    await succeed(project, "deploy");
    for (let i = 0; i < 8; i++) expect(await ask("wide.example.com", "/", several)).toBe("wide");
    await project.write(
      "wrangler.json",
      JSON.stringify({
        name: "wide",
        main: "src/index.js",
        compatibility_date: "2026-11-17",
        routes: ["other.example.com/*"],
      }),
    );
    await succeed(project, "triggers", "deploy");
    for (let i = 0; i < 8; i++)
      expect([
        await ask("wide.example.com", "/", several),
        await ask("other.example.com", "/", several),
      ]).toEqual([404, "wide"]);
  });
});

describe("cron triggers", () => {
  const CRON = `export default {
    fetch: async (request, env) => new Response(await env.LOG.get("last")),
    scheduled: async (event, env) => env.LOG.put("last", JSON.stringify([event.cron, event.scheduledTime])),
  };\n`;
  const config = { triggers: { crons: ["* * * * *"] }, kv_namespaces: [{ binding: "LOG", id: "cron-log" }] };
  const runsOf = async (at: Server, worker: string) =>
    (await call(at, "GET", `/workers/scripts/${worker}/schedules/runs`)).result;

  test("fire by the real clock, in a version of the split, with its time; and no more after they are taken away", async () => {
    const project = await useProject(server, "minutely", { config, code: CRON });
    expect(await succeed(project, "deploy")).toContain("schedule: * * * * *");
    await waitUntil(
      async () => (await runsOf(server, "minutely")).some((run: { outcome: string }) => run.outcome === "ok"),
      75_000,
    );
    const [run] = await runsOf(server, "minutely");
    const [[version]] = (await activeSplit(server, "minutely")) as [[string, number]];
    expect(run).toMatchObject({ cron: "* * * * *", outcome: "ok", error: null, version_id: version });
    expect(run.scheduled_time).toMatch(/:00\.000Z$/);
    expect(JSON.parse(await textOf(server, "minutely"))).toEqual([
      "* * * * *",
      Date.parse(run.scheduled_time),
    ]);

    await project.write(
      "wrangler.json",
      JSON.stringify({
        name: "minutely",
        main: "src/index.js",
        compatibility_date: "2026-11-17",
        triggers: { crons: [] },
        kv_namespaces: config.kv_namespaces,
      }),
    );
    await succeed(project, "triggers", "deploy");
    expect((await call(server, "GET", "/workers/scripts/minutely/schedules")).result.schedules).toEqual([]);
  });
});

describe("previews", () => {
  test("give each version and its alias a hostname, which versions upload prints", async () => {
    await deploy(server, "seen", answering("live"));
    const project = await useProject(server, "seen", { code: answer("draft") });
    const output = await succeed(project, "versions", "upload", "--preview-alias", "pr-7");
    const id = idAfter("Worker Version ID", output);
    expect(output).toContain(
      `Version Preview URL: https://${id.slice(0, 8)}-seen.localhost:${server.trafficPort}`,
    );
    expect(output).toContain(`Version Preview Alias URL: https://pr-7-seen.localhost:${server.trafficPort}`);
    expect(await ask(`${id.slice(0, 8)}-seen.localhost`)).toBe("draft");
    expect(await ask("pr-7-seen.localhost")).toBe("draft");
    expect(await textOf(server, "seen")).toBe("live");

    await project.write("src/index.js", answer("newer"));
    await succeed(project, "versions", "upload", "--preview-alias", "pr-7");
    expect(await ask("pr-7-seen.localhost")).toBe("newer");
    expect(await ask(`${id.slice(0, 8)}-seen.localhost`)).toBe("draft");
  });

  test("can be switched off and on for a Worker, with and without its own hostname", async () => {
    const project = await useProject(server, "shy", { config: { preview_urls: false } });
    const id = idAfter("Current Version ID", await succeed(project, "deploy"));
    expect(await ask(`${id.slice(0, 8)}-shy.localhost`)).toBe(404);
    expect(await succeed(project, "versions", "upload", "--preview-alias", "x")).not.toContain("Preview");
    const setup = (config: object) =>
      project.write(
        "wrangler.json",
        JSON.stringify({ name: "shy", main: "src/index.js", compatibility_date: "2026-11-17", ...config }),
      );
    await setup({ workers_dev: false, preview_urls: true });
    await succeed(project, "triggers", "deploy");
    expect(await ask("x-shy.localhost")).toBe("shy");
    await expectNotServed(server, "shy");
    await setup({ workers_dev: false });
    await succeed(project, "triggers", "deploy");
    expect(await ask("x-shy.localhost")).toBe(404);
  });

  test("are unloaded when no request comes any more, however many there were", async () => {
    const own = await useServer();
    const upload = () => uploadVersion(own, "many", answering("seen"));
    await deploy(own, "many", answering("live"));
    for (let i = 0; i < 12; i++)
      expect(await ask(`${(await upload()).slice(0, 8)}-many.localhost`, "/", own)).toBe("seen");
    // Eight may wait for their end at once.
    await waitUntil(() => own.output.split("version-unloaded").length - 1 >= 4);
    expect(await textOf(own, "many")).toBe("live");
  });

  test("never take a hostname that is a Worker's or another one's version's", async () => {
    const mine = await useProject(server, "part", {});
    await deploy(server, "part", answering("part"));
    await deploy(server, "a-part", answering("a whole Worker"));
    expect(await fail(mine, "versions", "upload", "--preview-alias", "a")).toContain(
      'the hostname of the Worker "a-part"',
    );
    await succeed(mine, "versions", "upload", "--preview-alias", "b-c");
    const other = await useProject(server, "c-part", {});
    await deploy(server, "c-part", answering("c-part"));
    expect(await fail(other, "versions", "upload", "--preview-alias", "b")).toContain(
      'the hostname of a version of "part"',
    );
    expect(await ask("a-part.localhost")).toBe("a whole Worker");
    expect(await ask("b-c-part.localhost")).toBe("part");
  });
});

test("delete removes routes, domains, crons, previews and files with the Worker, and a new Worker of its name has none of them", async () => {
  const routes = ["doomed.example.com/*", { pattern: "doomed.example.org", custom_domain: true }];
  const config = {
    routes,
    workers_dev: true,
    triggers: { crons: ["0 0 1 1 *"] },
    assets: { directory: "public" },
  };
  const project = await useProject(server, "doomed", { config, files: { "public/file.txt": "file" } });
  await succeed(project, "deploy");
  await succeed(project, "versions", "upload", "--preview-alias", "last");
  expect(await ask("doomed.example.com", "/file.txt")).toBe("file");

  await succeed(project, "delete", "--force");

  for (const host of [
    "doomed.localhost",
    "last-doomed.localhost",
    "doomed.example.com",
    "doomed.example.org",
  ]) {
    expect(await ask(host), host).toBe(404);
  }
  expect(
    (await call(server, "GET", "/workers/domains")).result.map(
      ({ hostname }: { hostname: string }) => hostname,
    ),
  ).not.toContain("doomed.example.org");
  await deploy(server, "doomed", answering("reborn"));
  expect(await ask("doomed.localhost")).toBe("reborn");
  expect(await ask("doomed.localhost", "/file.txt")).toBe("reborn");
  expect((await call(server, "GET", "/workers/scripts/doomed/schedules")).result.schedules).toEqual([]);
  expect((await call(server, "GET", "/workers/scripts/doomed/routes")).result).toEqual([]);
  expect(await ask("doomed.example.com")).toBe(404);
});
