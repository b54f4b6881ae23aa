/** The dashboard as operators use it: in a real browser, over the real server. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { answering, call, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import {
  overflow,
  picture,
  seriousProblems,
  signIn,
  type Visitor,
  type VisitorOptions,
  visit,
} from "../support/dashboard.ts";
import { disposeServer, type Server, startServer, TOKEN, useServer, waitUntil } from "../support/server.ts";
import { runSluice } from "../system/helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([startServer(), launchBrowser()]);
});

afterAll(async () => {
  await browser.close();
  await disposeServer(server);
});

/** A browser that is closed with the test, and must have seen nothing wrong. */
async function useVisitor(options: VisitorOptions & { at?: Server } = {}): Promise<Visitor> {
  const visitor = await visit(browser, options.at ?? server, options);
  onTestFinished(async () => {
    await visitor.context.close();
    expect(visitor.faults).toEqual([]);
  });
  return visitor;
}

/** Requests, one after the other, until the test is done. Counts what came back. */
function useLoad(worker: string, at: Server = server): Map<string, number> {
  const seen = new Map<string, number>();
  let isDone = false;
  const run = async () => {
    for (let i = 0; !isDone; i++) {
      const answer = await at.traffic(worker, { headers: { [KEY]: `client-${i}` } }).catch(() => undefined);
      const what =
        answer === undefined ? "nothing" : answer.status === 200 ? answer.body : String(answer.status);
      seen.set(what, (seen.get(what) ?? 0) + 1);
      await sleep(3);
    }
  };
  const running = run();
  onTestFinished(async () => {
    isDone = true;
    await running;
  });
  return seen;
}

/** Two versions, the second one at `percentage`. */
async function useSplit(worker: string, percentage: number, at: Server = server) {
  const stable = await deploy(at, worker, answering("stable"));
  const candidate = await uploadVersion(at, worker, answering("candidate"));
  await createDeployment(at, worker, [
    [stable, 100 - percentage],
    [candidate, percentage],
  ]);
  return { stable, candidate };
}

/** Fails for one client in eight. */
const FAILING_FOR_SOME = {
  modules: {
    "index.js": {
      content: `export default { fetch(request) {
        const client = Number(request.headers.get("${KEY}").split("-")[1]);
        return new Response("candidate", { status: client % 8 === 0 ? 500 : 200 });
      } };`,
    },
  },
};

async function activeSplit(worker: string): Promise<unknown> {
  const { result } = await call(server, "GET", `/workers/scripts/${worker}/deployments`);
  return result.deployments[0].versions;
}

describe("signing in", () => {
  test("takes a token, keeps none of it in the browser, and refuses a wrong one", async () => {
    const visitor = await useVisitor();
    const { page, context } = visitor;
    await page.goto(`${server.control}/workers/nothing?page=2`);
    await page.fill("#token", "wrong-token");
    await page.click("main button[type=submit]");
    await page.waitForSelector("text=This token is not valid here.");
    expect(await context.cookies()).toEqual([]);
    await signIn(visitor, server);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: "sluice_session", httpOnly: true, sameSite: "Strict" });
    expect(cookie?.value).not.toContain(TOKEN);
    expect(await page.evaluate(() => [document.cookie, localStorage.length])).toEqual(["", 0]);
  });

  test("leads back to the page that was asked for, and never to another site", async () => {
    await useSplit("coming-back", 10);
    const { page } = await useVisitor();
    for (const [next, end] of [
      ["/workers/coming-back/audit", "/workers/coming-back/audit"],
      ["https://example.com/", "/"],
      ["//example.com/", "/"],
      ["/\\example.com", "/"],
    ] as const) {
      await page.context().clearCookies();
      await page.goto(`${server.control}/sign-in?next=${encodeURIComponent(next)}`);
      await page.fill("#token", TOKEN);
      await page.click("main button[type=submit]");
      await page.waitForURL(`${server.control}${end}`);
    }
  });

  test("ends everywhere at once: an open page asks to sign in again, and goes on where it was", async () => {
    await useSplit("signed-out", 10);
    const { result: token } = await call(server, "POST", "/tokens", { name: "everywhere", role: "deploy" });
    const [here, there] = [await useVisitor(), await useVisitor()];
    await signIn(here, server, token.value, "/workers/signed-out");
    await signIn(there, server, token.value, "/access");
    // A form that is still open when the session ends.
    const form = await here.context.newPage();
    await form.goto(`${server.control}/workers/signed-out/settings`);
    await there.page.click("text=Sign out everywhere");
    await there.page.waitForURL(/sign-in/);
    await here.page.waitForURL(/sign-in\?next=%2Fworkers%2Fsigned-out/);
    await form.click("fieldset button");
    await form.waitForSelector("text=Your session has ended. Nothing was changed.");
    await here.page.fill("#token", token.value);
    await here.page.click("main button[type=submit]");
    await here.page.waitForURL(`${server.control}/workers/signed-out`);
  });
});

describe("the split", () => {
  test("is changed with slider and number, says before who moves, and live traffic follows", async () => {
    const { stable, candidate } = await useSplit("moving", 10);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/moving");
    const seen = useLoad("moving");
    await page.waitForFunction(() => document.querySelectorAll("#live-recent tbody tr").length === 2);

    expect(await page.textContent("#moves")).toBe("Nobody gets another version than before.");
    await page.locator("#slider").fill("30");
    expect(await page.inputValue("[name=percentage]")).toBe("30");
    expect(await page.textContent("#moves")).toMatch(/^20% of the clients move from #1 \w{8} to #2 \w{8}\.$/);
    await page.fill("[name=percentage]", "62.5");
    expect(await page.textContent("#moves")).toMatch(/^52.5% of the clients move/);
    await page.fill("[name=percentage]", "100.5");
    expect(await page.textContent("#moves")).toBe("Use a share from 0 to 100.");
    await page.fill("[name=percentage]", "62.5");
    await page.fill("#split-form [name=message]", "more of it");
    await page.click("#split-form button");
    await page.waitForURL(/done=split/);
    expect(await activeSplit("moving")).toEqual([
      { version_id: stable, percentage: 37.5 },
      { version_id: candidate, percentage: 62.5 },
    ]);
    seen.clear();
    const share = async (what: string) =>
      Number.parseFloat((await page.textContent(`[data-${what}="${candidate}"]`)) ?? "");
    expect(await share("configured")).toBe(62.5);
    // Without a reload: what is observed comes near to it, and is what end users get.
    await waitUntil(async () => Math.abs((await share("observed")) - 62.5) < 15);
    await waitUntil(() => (seen.get("candidate") ?? 0) + (seen.get("stable") ?? 0) > 200);
    expect((seen.get("candidate") ?? 0) / (seen.get("stable") ?? 1)).toBeGreaterThan(1);
    expect(await page.textContent("section:has(#history-title)")).toContain("more of it");
    // A picture for people has some of the past on it.
    if (process.env.SLUICE_SCREENSHOTS !== undefined) await sleep(50_000);
    await picture(page, "deployments");
  });

  test("that somebody else changed meanwhile is left alone, and the page says so", async () => {
    const { stable, candidate } = await useSplit("raced", 10);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/raced");
    await createDeployment(server, "raced", [
      [stable, 80],
      [candidate, 20],
    ]);
    await page.fill("[name=percentage]", "50");
    await page.click("#split-form button");
    await page.waitForSelector("text=Nothing was changed");
    expect(await activeSplit("raced")).toMatchObject([{ percentage: 80 }, { percentage: 20 }]);
    // The page shows what serves now, keeps what was filled in, and can be sent again.
    expect(await page.inputValue("[name=percentage]")).toBe("50");
    await page.click("#split-form button");
    await page.waitForURL(/done=split/);
    expect(await activeSplit("raced")).toMatchObject([{ percentage: 50 }, { percentage: 50 }]);
  });

  test("that two versions shared is gone back to as a whole", async () => {
    const { stable, candidate } = await useSplit("back-to-both", 30);
    await createDeployment(server, "back-to-both", [[candidate, 100]]);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/back-to-both");
    await page.locator("tr:has-text('70% #1, 30% #2') >> text=Roll back to this").first().click();
    await page.click("main form button");
    await page.waitForURL(/done=rollback/);
    expect(await activeSplit("back-to-both")).toEqual([
      { version_id: stable, percentage: 70 },
      { version_id: candidate, percentage: 30 },
    ]);
  });

  test("is promoted, and rolled back after one question that names the target and the changed secrets", async () => {
    const { stable, candidate } = await useSplit("rolling", 10);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/rolling");
    await page.click("text=Promote #2 to 100%");
    await page.waitForURL(/done=promoted/);
    expect((await server.traffic("rolling")).body).toBe("candidate");

    // Without a changed secret there is nothing to warn of.
    await page.click("text=Roll back to this >> nth=-1");
    await page.waitForSelector("h1:has-text('Roll back rolling?')");
    expect(await page.textContent("main")).toContain(`#1 (${stable.slice(0, 8)})`);
    expect(await page.locator(".alert").count()).toBe(0);
    await page.click("text=Leave it as it is");

    await call(server, "PUT", "/workers/scripts/rolling/secrets", {
      name: "PASSWORD",
      text: "new",
      type: "secret_text",
    });
    await page.reload();
    await page.click("text=Roll back to this >> nth=-1");
    expect(await page.textContent(".alert")).toContain("PASSWORD");
    await picture(page, "rollback");
    await page.fill("[name=message]", "it was worse");
    await page.click("text=Roll back, with the older secrets");
    await page.waitForURL(/done=rollback/);
    expect(await activeSplit("rolling")).toEqual([{ version_id: stable, percentage: 100 }]);
    expect((await server.traffic("rolling")).body).toBe("stable");
    expect(candidate).not.toBe(stable);
  });
});

test("a rollout that fails takes itself back while the page is open, and the page shows why", {
  timeout: 180_000,
}, async () => {
  await deploy(server, "failing", answering("stable"));
  await uploadVersion(server, "failing", FAILING_FOR_SOME);
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/failing/rollouts");
  const seen = useLoad("failing");
  await page.fill("[name=stages]", "nonsense");
  await page.click("text=Start the rollout");
  await page.waitForSelector("text=is no stage");
  await page.fill("[name=stages]", "20%:10m,100%");
  await page.click("text=Start the rollout");
  await page.waitForURL(/rollouts\/[0-9a-f-]{36}$/);
  await page.waitForSelector(".phase.running");
  expect(await page.locator("#live-commands button").allTextContents()).toContain("Pause");
  await page.waitForSelector("#live-phase .phase.rolled_back", { timeout: 120_000 });
  expect(await page.textContent("#live-phase")).toMatch(/everywhere .+ after the decision/);
  expect(await page.locator("#live-commands button").count()).toBe(0);
  expect(await page.textContent("#live-trail")).toContain("gate");
  await page.click("summary");
  expect(await page.locator("[data-chart=evidence] tbody tr").count()).toBeGreaterThan(1);
  await picture(page, "rollout");
  seen.clear();
  await waitUntil(() => (seen.get("stable") ?? 0) > 50);
  expect([...seen.keys()]).toEqual(["stable"]);
});

test("a rollout is paused, resumed and aborted from its page", async () => {
  await deploy(server, "steered", answering("stable"));
  await uploadVersion(server, "steered", answering("candidate"));
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/steered/rollouts");
  await page.selectOption("[name=template]", "careful");
  await page.click("text=Start the rollout");
  for (const [button, phase] of [
    ["Pause", "paused"],
    ["Resume", "running"],
    ["Abort", "aborted"],
  ] as const) {
    await page.click(`#live-commands >> text=${button}`);
    await page.waitForSelector(`#live-phase .phase.${phase}`);
  }
  expect((await server.traffic("steered")).body).toBe("stable");
});

describe("an edit of the main module", () => {
  async function edit(page: Page, text: string): Promise<void> {
    await page.waitForSelector(".cm-content");
    await page.click(".cm-content");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText(
      `export default { fetch: (r, env) => new Response(${JSON.stringify(text)} + env.KIND) };`,
    );
  }

  test("is saved as a version without traffic, with the same bindings, and then deployed", async () => {
    await deploy(server, "edited", {
      ...answering("as uploaded"),
      metadata: { bindings: [{ type: "plain_text", name: "KIND", text: "!" }] },
    });
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/edited/versions");
    await page.click("text=Edit the newest one");
    await edit(page, "saved");
    await picture(page, "editor");
    await page.fill("[name=message]", "by hand");
    await page.click("button[value=save]");
    await page.waitForURL(/done=saved/);
    expect(await page.textContent("main")).toContain("by hand");
    expect((await server.traffic("edited")).body).toBe("as uploaded");
    const preview = await page.getAttribute(".facts a[rel=noreferrer]", "href");
    const label = new URL(preview ?? "").hostname.replace(".localhost", "");
    expect((await server.traffic(label)).body).toBe("saved!");

    await page.click("text=Edit…");
    await edit(page, "deployed");
    await page.click("button[value=deploy]");
    await page.waitForURL(/done=deployed/);
    expect((await server.traffic("edited")).body).toBe("deployed!");
    await page.goto(`${server.control}/workers/edited/diff?${await lastTwo("edited")}`);
    expect(await page.textContent("main")).toContain(
      '+ export default { fetch: (r, env) => new Response("deployed"',
    );
  });

  test("that does not start is refused with the reason, is not lost, and changes nothing", async () => {
    await deploy(server, "broken-edit", answering("fine"));
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/broken-edit/versions");
    await page.click("text=Edit the newest one");
    await page.waitForSelector(".cm-content");
    await page.click(".cm-content");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText("throw new Error('not today');");
    await page.click("button[value=deploy]");
    await page.waitForSelector(".alert:has-text('not today')");
    expect(await page.textContent(".cm-content")).toContain("not today");
    expect((await server.traffic("broken-edit")).body).toBe("fine");
    const { result } = await call(server, "GET", "/workers/scripts/broken-edit/versions");
    expect(result.items).toHaveLength(1);
  });
});

async function lastTwo(worker: string): Promise<string> {
  const { result } = await call(server, "GET", `/workers/scripts/${worker}/versions`);
  return `from=${result.items[1].id}&to=${result.items[0].id}`;
}

test("who may only read sees everything and no button, and a form that is sent all the same changes nothing", async () => {
  const { stable } = await useSplit("read-only", 10);
  const { result: token } = await call(server, "POST", "/tokens", { name: "viewer", role: "read" });
  const visitor = await useVisitor();
  const { page, context } = visitor;
  await signIn(visitor, server, token.value, "/workers/read-only");
  const buttons = () => page.locator("main button:visible, main a.button").allTextContents();
  expect(await page.textContent("main")).toContain("10% configured");
  for (const path of ["", "/versions", "/rollouts", "/audit", "/settings", `/versions/${stable}`]) {
    await page.goto(`${server.control}/workers/read-only${path}`);
    const compare = path === "/versions" ? ["Compare the two"] : [];
    expect(await buttons(), path).toEqual(compare);
  }
  await page.goto(`${server.control}/access`);
  expect(await buttons()).toEqual(["Sign out everywhere"]);
  const csrf = await page.locator("[name=csrf]").first().getAttribute("value");
  const { result } = await call(server, "GET", "/workers/scripts/read-only/deployments");
  for (const [path, form] of [
    [
      "/workers/read-only/split",
      { stable, candidate: stable, percentage: "100", base: result.deployments[0].id },
    ],
    ["/workers/read-only/settings/options", { versions: "1", hours: "1" }],
    ["/access/tokens", { name: "sneaky", role: "admin" }],
  ] as const) {
    const answer = await context.request.post(`${server.control}${path}`, {
      form: { csrf: csrf ?? "", ...form },
      headers: { Origin: server.control, "Sec-Fetch-Site": "same-origin" },
    });
    expect(answer.status(), path).toBe(403);
  }
  expect(await activeSplit("read-only")).toMatchObject([{ percentage: 90 }, { percentage: 10 }]);
  const names = (await call(server, "GET", "/tokens")).result.map(({ name }: { name: string }) => name);
  expect(names).not.toContain("sneaky");
});

test("tokens are made and revoked on the page, each shown once", async () => {
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/access");
  await page.fill("[name=name]", "made-here");
  await page.selectOption("[name=role]", "read");
  await page.click("text=Make it");
  const value = (await page.textContent("#made")) ?? "";
  const verify = () =>
    fetch(`${server.control}/client/v4/user`, { headers: { Authorization: `Bearer ${value}` } });
  expect((await verify()).status).toBe(200);
  await page.goto(`${server.control}/access`);
  expect(await page.content()).not.toContain(value);
  await page.click("text=Revoke made-here");
  await page.waitForURL(`${server.control}/access`);
  await waitUntil(async () => (await verify()).status === 401);
});

test("settings are changed on the page, and refused with the reason where they make no sense", async () => {
  await useSplit("settled", 10);
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/settled/settings");
  await page.fill("[name=sources]", "header:X-User\nissued-cookie");
  await page.click("form[action$=affinity] button");
  await page.waitForURL(/done=settings/);
  const affinity = await call(server, "GET", "/workers/scripts/settled/affinity");
  expect(affinity.result.sources).toMatchObject([
    { type: "header", name: "X-User" },
    { type: "issued_cookie" },
  ]);
  await page.fill("[name=sources]", "issued-cookie\nheader:X-User");
  await page.click("form[action$=affinity] button");
  await page.waitForSelector(".alert:has-text('issued_cookie must be the last one')");
  await page.check("[name=protect]");
  await page.click("form[action$=options] button");
  await page.waitForURL(/done=settings/);
  expect((await call(server, "GET", "/workers/scripts/settled/options")).result.protect).toBe(true);
  await page.goto(`${server.control}/workers/settled/audit`);
  expect(await page.textContent("main")).toContain("protect = true");
});

test("after a load with known counts the page shows what /metrics, the API and the command say", async () => {
  await useSplit("counted", 50);
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/counted");
  for (let i = 0; i < 137; i++) await server.traffic("counted", { headers: { [KEY]: `k${i}` } });
  await page.waitForFunction(
    () => document.querySelector('[data-version=all] [data-total="requests"]')?.textContent === "137",
  );
  const onPage = await page.$$eval("#live-totals tr[data-version]", (rows) =>
    Object.fromEntries(
      rows.map((row) => [
        row.getAttribute("data-version"),
        Number(row.querySelector('[data-total="ok"]')?.textContent),
      ]),
    ),
  );
  const { result } = await call(server, "GET", "/workers/scripts/counted/metrics");
  const args = ["metrics", "counted", "--json", "--data-dir", server.dataDir];
  const command = JSON.parse((await runSluice(args, { SLUICE_API_TOKEN: TOKEN })).stdout);
  const prometheus = await (
    await fetch(`${server.control}/metrics`, { headers: { Authorization: `Bearer ${TOKEN}` } })
  ).text();
  for (const { version_id, ok } of result.versions) {
    expect(onPage[version_id]).toBe(ok);
    expect(prometheus).toContain(
      `sluice_requests_total{worker="counted",version="${version_id}",reason="key",outcome="ok"} ${ok}\n`,
    );
    expect(command.versions.find((found: { version_id: string }) => found.version_id === version_id).ok).toBe(
      ok,
    );
  }
  expect([onPage.all, result.total.ok, command.total.ok]).toEqual([137, 137, 137]);
});

test("a page whose connection is lost says so, and follows again when the server is back", async () => {
  const own = await useServer();
  await useSplit("lost", 10, own);
  const visitor = await useVisitor({ at: own });
  const { page } = visitor;
  await signIn(visitor, own, TOKEN, "/workers/lost");
  await page.waitForFunction(() => document.querySelector("#live-split dl") !== null);
  await own.kill();
  await page.waitForSelector("#connection:has-text('The connection is lost')");
  const again = await startServer({ like: own });
  onTestFinished(async () => void (await again.stop()));
  await page.waitForSelector("#connection", { state: "hidden" });
  for (let i = 0; i < 5; i++) await again.traffic("lost");
  await page.waitForFunction(
    () => Number(document.querySelector('[data-version=all] [data-total="requests"]')?.textContent) === 5,
  );
});

test("an open page does not keep the server from stopping", async () => {
  const own = await useServer();
  await useSplit("stopping", 10, own);
  const visitor = await useVisitor({ at: own });
  await signIn(visitor, own, TOKEN, "/workers/stopping");
  await sleep(1_500);
  const begun = Date.now();
  expect(await own.stop()).toBe(0);
  // Requests that go on get 30 s: this was none of them.
  expect(Date.now() - begun).toBeLessThan(15_000);
});

/** Records copies of a Worker's newest version until it has 1,000. Their uploads alone would take a minute. */
function fillUp(dataDir: string, worker: string): void {
  const folder = join(dataDir, "storage/do/sluice-WorkerRegistry");
  for (const file of readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))) {
    const db = new DatabaseSync(join(folder, file));
    const row = db.prepare("SELECT name FROM worker").get();
    if (row?.name === worker) {
      db.exec(`
        WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        INSERT INTO version SELECT i, printf('00000000-0000-4000-8000-%012d', i), created_on, author_id, author_email, source, triggered_by,
          'copy ' || i, tag, main_module, compatibility_date, compatibility_flags, bindings, inspection, etag, size_bytes
        FROM n, version WHERE number = 2`);
    }
    db.close();
  }
}

test("a thousand versions are listed a page at a time, and the oldest one can be given traffic", async () => {
  const own = await useServer();
  const { stable: first } = await useSplit("many", 10, own);
  await own.stop();
  fillUp(own.dataDir, "many");
  const again = await startServer({ like: own });
  onTestFinished(async () => void (await again.stop()));
  const visitor = await useVisitor({ at: again });
  const { page } = visitor;
  await signIn(visitor, again, TOKEN, "/workers/many/versions");
  expect(await page.textContent("caption")).toContain("1,000 versions");
  expect(await page.locator("tbody tr").count()).toBe(50);
  await page.goto(`${again.control}/workers/many/versions?page=20`);
  expect(await page.textContent("tbody tr:last-child")).toContain(first.slice(0, 8));
  expect(await page.locator("[rel=next]").count()).toBe(0);
  await page.click("tbody tr:last-child a.version");
  await page.click("text=Give it traffic…");
  expect(await page.inputValue("[name=candidate]")).toBe(first);
});

describe("every page", () => {
  const PAGES = [
    "/",
    "/workers/looked-at",
    "/workers/looked-at/versions",
    "/workers/looked-at/rollouts",
    "ROLLOUT",
  ] as const;
  const MORE = [
    "VERSION",
    "EDIT",
    "DIFF",
    "ROLLBACK",
    "/workers/looked-at/audit",
    "/workers/looked-at/settings",
    "/access",
  ] as const;

  async function addresses(): Promise<string[]> {
    const worker = "/workers/looked-at";
    const scripts = "/workers/scripts/looked-at";
    const { items } = (await call(server, "GET", `${scripts}/versions`)).result;
    const rollouts = (await call(server, "GET", `${scripts}/rollouts`)).result;
    const found: Record<string, string> = {
      ROLLOUT: `${worker}/rollouts/${rollouts[0].id}`,
      VERSION: `${worker}/versions/${items[0].id}`,
      EDIT: `${worker}/versions/${items[0].id}/edit`,
      DIFF: `${worker}/diff?from=${items[1].id}&to=${items[0].id}`,
      ROLLBACK: `${worker}/rollback?to=${items[1].id}`,
    };
    return [...PAGES, ...MORE].map((name) => found[name] ?? name);
  }

  beforeAll(async () => {
    await useSplit("looked-at", 10);
    const { result } = await call(server, "GET", "/workers/scripts/looked-at/versions");
    await createDeployment(server, "looked-at", [[result.items[1].id, 100]]);
    const started = await call(server, "POST", "/workers/scripts/looked-at/rollouts", {
      version_id: "latest",
    });
    expect(started.errors).toEqual([]);
    for (let i = 0; i < 40; i++) await server.traffic("looked-at", { headers: { [KEY]: `k${i}` } });
  });

  test.each([
    ["light", 1200],
    ["dark", 1200],
    ["light", 360],
  ] as const)(
    "has nothing that axe-core finds serious, and fits its window (%s, %i px)",
    async (scheme, width) => {
      const visitor = await useVisitor({ dark: scheme === "dark", width });
      const { page } = visitor;
      await page.goto(`${server.control}/sign-in`);
      expect(await seriousProblems(page)).toEqual([]);
      await signIn(visitor, server);
      for (const address of await addresses()) {
        await page.goto(`${server.control}${address}`);
        expect(await seriousProblems(page), address).toEqual([]);
        expect(await overflow(page), address).toBeLessThanOrEqual(0);
        if (width === 360 && address === "/workers/looked-at") await picture(page, "deployments-360");
        if (scheme === "dark" && address.includes("/rollouts/")) await picture(page, "rollout-dark");
        if (scheme === "light" && width === 1200 && address === "/") await picture(page, "workers");
        if (scheme === "light" && width === 1200 && address.endsWith("/versions"))
          await picture(page, "versions");
      }
    },
  );

  test("shows all it has without script, and changes the split too", async () => {
    const { stable } = await useSplit("scriptless", 10);
    const visitor = await useVisitor({ script: false });
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/scriptless");
    expect(await page.textContent("#live-split")).toContain("90% configured");
    await page.fill("[name=percentage]", "25");
    await page.click("#split-form button");
    await page.waitForURL(/done=split/);
    expect(await activeSplit("scriptless")).toMatchObject([
      { version_id: stable, percentage: 75 },
      { percentage: 25 },
    ]);
    for (const address of await addresses()) {
      await page.goto(`${server.control}${address}`);
      expect(await page.locator("h1").count(), address).toBe(1);
    }
  });

  test("comes with less than 100 KB, compressed, of which no script holds up the first paint", async () => {
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server);
    for (const address of await addresses()) {
      // The code editor comes after the page, and only there: its text field works without.
      const limit = address.endsWith("/edit") ? 160 * 1024 : 100 * 1024;
      expect(await transferred(page, `${server.control}${address}`), address).toBeLessThan(limit);
      const blocking = await page.locator("script[src]:not([defer])").count();
      expect(blocking, address).toBe(0);
    }
  });
});

/** Bytes that a page needs on the wire, with nothing in the cache. */
async function transferred(page: Page, address: string): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  let bytes = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => {
    bytes += encodedDataLength;
  });
  await page.goto(address, { waitUntil: "load" });
  await session.detach();
  return bytes;
}
