/** Pages: what an open one shows and does, and what every one of them must be. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { call, createDeployment } from "../../support/client.ts";
import { overflow, picture, seriousProblems, signIn } from "../../support/dashboard.ts";
import { startServer, TOKEN, useServer } from "../../support/server.ts";
import { runSluice } from "../../system/helpers.ts";
import { activeSplit, KEY, server, useDashboard, useSplit, useVisitor } from "./visitor.ts";

useDashboard();

test("after a known number of requests the page, /metrics, the API and the command show the same counts", async () => {
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

test("a page that loses its connection says so, and updates again when the server is back", async () => {
  const own = await useServer();
  await useSplit("lost", 10, own);
  const visitor = await useVisitor({ at: own });
  const { page } = visitor;
  await signIn(visitor, own, TOKEN, "/workers/lost");
  await page.waitForFunction(() => document.querySelector("#live-split dl") !== null);
  await own.kill();
  await page.waitForSelector(
    "#connection:text-matches('^Connection lost. Showing data from [0-9:]{8} UTC.')",
  );
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

test("a thousand versions are listed page by page, and the oldest one can be given traffic", async () => {
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
  await page.click("text=Send traffic to it…");
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
    "/processes",
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
    const incident = {
      id: crypto.randomUUID(),
      process: "canary",
      cause: "hang",
      at: new Date().toISOString(),
      evidence: { silent_ms: 2140, busy_ms: 2100 },
      versions: [{ worker: "looked-at", version: result.items[0].id }],
    };
    expect((await call(server, "POST", "/incidents", incident)).errors).toEqual([]);
    for (let i = 0; i < 40; i++) await server.traffic("looked-at", { headers: { [KEY]: `k${i}` } });
  });

  test.each([
    ["light", 1200],
    ["dark", 1200],
    ["light", 360],
  ] as const)(
    "has no serious accessibility problem, and fits its window (%s, %i px)",
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

  test("shows its content without script, and changes the split too", async () => {
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

  test("needs less than 100 KB, compressed, and no script delays its first paint", async () => {
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
