/** Where requests carry their key, and what responses say: a Worker's options, by the API and by `sluice`. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, TOKEN, useServer } from "../support/server.ts";
import { NAMING_ITSELF, runSluice } from "./helpers.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer({ args: ["--address-header", "X-Real-IP"] });
});
afterAll(() => disposeServer(server));

async function split(worker: string, at = server): Promise<[string, string]> {
  const a = await deploy(at, worker, NAMING_ITSELF);
  const b = await uploadVersion(at, worker, NAMING_ITSELF);
  await createDeployment(at, worker, [
    [a, 50],
    [b, 50],
  ]);
  return [a, b];
}

const affinity = (worker: string, sources: readonly object[] | null, at = server) =>
  call(at, "PUT", `/workers/scripts/${worker}/affinity`, { sources });

/** How many versions answer 30 such requests. */
async function versionsFor(worker: string, headers: Record<string, string>): Promise<number> {
  const found = new Set<string>();
  for (let i = 0; i < 30; i++) found.add((await server.traffic(worker, { headers })).body);
  return found.size;
}

test("the client's address decides by default, and a Worker's own sources in their order after that", async () => {
  await split("shop");
  const everything = { "X-Real-IP": "192.0.2.1", "X-User": "anna", Cookie: "session=s1" };
  expect(await versionsFor("shop", { "X-Real-IP": "192.0.2.1" })).toBe(1);
  expect(await versionsFor("shop", { "X-User": "anna" })).toBe(2);

  const set = await affinity("shop", [
    { type: "header", name: "X-User" },
    { type: "cookie", name: "session" },
  ]);
  expect(set.result).toEqual({
    sources: [
      { type: "header", name: "X-User" },
      { type: "cookie", name: "session" },
    ],
    is_default: false,
  });
  expect(await versionsFor("shop", { "X-Real-IP": "192.0.2.1" })).toBe(2);
  expect(await versionsFor("shop", { "X-User": "anna" })).toBe(1);
  expect(await versionsFor("shop", { Cookie: "session=s1" })).toBe(1);
  const asUser = (await server.traffic("shop", { headers: { "X-User": "anna" } })).body;
  expect((await server.traffic("shop", { headers: everything })).body).toBe(asUser);
  const { result } = await call(server, "GET", "/workers/scripts/shop/explain?key=anna");
  expect(asUser).toBe(result.version_id);

  expect((await affinity("shop", null)).result).toEqual({ sources: [{ type: "address" }], is_default: true });
  expect(await versionsFor("shop", { "X-Real-IP": "192.0.2.1" })).toBe(1);
});

test("an issued cookie keeps a client from its very first response on, and while the share rises", async () => {
  const [a, b] = await split("cookies");
  await affinity("cookies", [{ type: "issued_cookie", name: "who" }]);
  await createDeployment(server, "cookies", [
    [a, 80],
    [b, 20],
  ]);
  const clients: { cookie: string; first: string }[] = [];
  for (let i = 0; i < 60; i++) {
    const { headers, body } = await server.traffic("cookies");
    const [cookie = ""] = (headers["set-cookie"] as string[])[0]?.split(";") ?? [];
    expect(cookie).toMatch(/^who=[0-9a-f-]{36}$/);
    clients.push({ cookie, first: body });
  }
  expect(new Set(clients.map(({ first }) => first))).toEqual(new Set([a, b]));
  for (const share of [20, 60, 90]) {
    await createDeployment(server, "cookies", [
      [a, 100 - share],
      [b, share],
    ]);
    for (const { cookie, first } of clients) {
      const { headers, body } = await server.traffic("cookies", { headers: { Cookie: cookie } });
      expect(headers["set-cookie"]).toBeUndefined();
      if (first === b) expect(body).toBe(b);
    }
  }
  await createDeployment(server, "cookies", [[b, 100]]);
  expect((await server.traffic("cookies")).headers["set-cookie"]).toBeUndefined();
});

test("a response says its version and the reason only where the Worker's option says so", async () => {
  const [a, b] = await split("open");
  expect((await server.traffic("open")).headers["sluice-version"]).toBeUndefined();
  await call(server, "PATCH", "/workers/scripts/open/options", { expose_version: true });
  const said = async (headers: Record<string, string>) => {
    const answer = await server.traffic("open", { headers });
    const [id, reason] = String(answer.headers["sluice-version"]).split(";reason=");
    expect(id).toBe(answer.body);
    return reason;
  };
  expect(await said({ "Cloudflare-Workers-Version-Key": "k" })).toBe("key");
  expect(await said({})).toBe("random");
  expect(await said({ "Cloudflare-Workers-Version-Overrides": `open="${a}"` })).toBe("override");
  await createDeployment(server, "open", [[b, 100]]);
  expect(await said({})).toBe("single");
});

test("all of it reaches traffic processes before the API answers, and outlives a restart", async () => {
  const several = await useServer({ args: ["--processes", "2"] });
  await split("wide", several);
  await affinity("wide", [{ type: "header", name: "X-User" }], several);
  await call(several, "PATCH", "/workers/scripts/wide/options", { expose_version: true });
  for (let i = 0; i < 12; i++) {
    const { headers } = await several.traffic("wide", { headers: { "X-User": "anna" } });
    expect(headers["sluice-version"]).toContain("reason=key");
  }
  const { result } = await call(several, "GET", "/workers/scripts/wide/options");
  expect(result).toEqual({
    expose_version: true,
    protect: false,
    retention: { versions: 10, hours: 48 },
    webhooks: [],
  });
});

test("sluice affinity, protect and options show and set the same", async () => {
  await split("by-hand");
  const env = { SLUICE_API_TOKEN: TOKEN, SLUICE_DATA_DIR: server.dataDir };
  const sluice = async (...args: string[]) => {
    const { code, stdout, stderr } = await runSluice(args, env);
    return code === 0 ? stdout : `${code} ${stderr}`;
  };
  expect(await sluice("affinity", "by-hand")).toContain("(default)");
  expect(await sluice("affinity", "by-hand", "header:X-User", "issued-cookie:id")).toMatch(
    /1\. header {2}Cloudflare-Workers-Version-Key\n {2}2\. header {2}X-User\n {2}3\. cookie {2}id, set by Sluice/,
  );
  expect(JSON.parse(await sluice("affinity", "by-hand", "--json")).sources).toHaveLength(2);
  expect(await sluice("affinity", "by-hand", "default")).toContain("(default)");
  expect(await sluice("protect", "by-hand", "on")).toMatch(/^protect +on/);
  expect(await sluice("options", "by-hand", "--expose-version", "on", "--retain-hours", "1")).toMatch(
    /protect +on[\s\S]*expose-version +on[\s\S]*10 versions, 1 hours/,
  );
  for (const [args, says] of [
    [["affinity", "by-hand", "magic"], '"magic" is not a key source'],
    [["affinity", "by-hand", "issued-cookie", "address"], "must be the last one"],
    [["protect", "by-hand", "maybe"], "on, off"],
    [["options", "by-hand", "--retain-versions", "-1"], "versions"],
    [["affinity", "nobody"], 'There is no Worker named "nobody"'],
  ] as const) {
    const answer = await sluice(...args);
    expect(answer).toMatch(/^1 /);
    expect(answer).toContain(says);
  }
});
