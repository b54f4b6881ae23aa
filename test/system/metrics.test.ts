/** What was counted, read in every way that there is: the same, exactly, also after restarts. */

import parse from "parse-prometheus-text-format";
import { describe, expect, test } from "vitest";
import { answering, call, createDeployment, deploy, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, series, startServer, TOKEN, useServer } from "../support/server.ts";
import { inParallel, keys, runSluice } from "./helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";
const OVERRIDES = "Cloudflare-Workers-Version-Overrides";

/** Answers as its path says. */
const OBEDIENT: Upload = {
  modules: {
    "index.js": {
      content: `export default { fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname === "/throw") throw new Error("as asked");
        return new Response("", { status: Number(pathname.slice(1)) || 200 });
      } };`,
    },
  },
};

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: string;
}

async function scrape(server: Server, accept = "text/plain"): Promise<string> {
  const response = await fetch(`${server.control}/metrics`, {
    headers: { Authorization: `Bearer ${TOKEN}`, Accept: accept },
  });
  expect(response.status).toBe(200);
  return response.text();
}

/** Counts by version, reason and outcome, without those that are zero. */
async function fromPrometheus(server: Server, worker: string): Promise<Record<string, number>> {
  const families = parse(await scrape(server)) as { name: string; metrics: Sample[] }[];
  const samples = families.find(({ name }) => name === "sluice_requests_total")?.metrics ?? [];
  return Object.fromEntries(
    samples
      .filter(({ labels, value }) => labels.worker === worker && value !== "0")
      .map(({ labels, value }) => [`${labels.version} ${labels.reason} ${labels.outcome}`, Number(value)])
      .sort(),
  );
}

interface Report {
  readonly total: {
    readonly requests: number;
    readonly ok: number;
    readonly error: number;
    readonly exception: number;
  };
  readonly versions: readonly {
    readonly version_id: string;
    readonly reasons: Readonly<Record<string, Readonly<Record<string, number>>>>;
  }[];
}

/** The same out of what the API or the command says. */
function fromReport({ versions }: Report): Record<string, number> {
  const all = versions.flatMap(({ version_id, reasons }) =>
    Object.entries(reasons).flatMap(([reason, outcomes]) =>
      Object.entries(outcomes).map(
        ([outcome, count]) => [`${version_id} ${reason} ${outcome}`, count] as const,
      ),
    ),
  );
  return Object.fromEntries(all.filter(([, count]) => count > 0).sort());
}

async function fromCommand(server: Server, worker: string): Promise<Report> {
  const { stdout } = await runSluice(["metrics", worker, "--json", "--data-dir", server.dataDir], {
    SLUICE_API_TOKEN: TOKEN,
  });
  return JSON.parse(stdout);
}

const fromApi = async (server: Server, worker: string): Promise<Report> =>
  (await call(server, "GET", `/workers/scripts/${worker}/metrics`)).result;

describe.each(series({ full: [1, 2], usual: [2] }))("with --processes %i", (processes) => {
  test("a load of known counts is what page, API, command and Prometheus say, at once and after restarts", async () => {
    const args = ["--processes", String(processes)];
    const server = await useServer({ args });
    const stable = await deploy(server, "obedient", OBEDIENT);
    const candidate = await uploadVersion(server, "obedient", OBEDIENT);
    await createDeployment(server, "obedient", [
      [stable, 60],
      [candidate, 40],
    ]);
    const expected: Record<string, number> = {};
    const note = (what: string) => {
      expected[what] = (expected[what] ?? 0) + 1;
    };
    const { result } = await call(server, "GET", "/workers/scripts/obedient/explain?key=key-0");
    expect(result.reason).toBe("key");
    const versionOf = async (key: string) =>
      (await call(server, "GET", `/workers/scripts/obedient/explain?key=${key}`)).result.version_id;
    await inParallel(4, keys(60), async (key) => {
      await server.traffic("obedient", { headers: { [KEY]: key } });
      note(`${await versionOf(key)} key ok`);
    });
    for (const [path, outcome, times] of [
      ["/404", "ok", 3],
      ["/500", "error", 4],
      ["/503", "error", 1],
      ["/throw", "exception", 5],
    ] as const) {
      for (let i = 0; i < times; i++) {
        await server.traffic("obedient", { path, headers: { [OVERRIDES]: `obedient="${candidate}"` } });
        note(`${candidate} override ${outcome}`);
      }
    }
    await server.traffic(`${candidate.slice(0, 8)}-obedient`);
    note(`${candidate} preview ok`);
    await server.traffic("nobody-at-all");
    const sorted = Object.fromEntries(Object.entries(expected).sort());

    const look = async (at: Server) => {
      expect(await fromPrometheus(at, "obedient")).toEqual(sorted);
      const report = await fromApi(at, "obedient");
      expect(fromReport(report)).toEqual(sorted);
      expect(await fromCommand(at, "obedient")).toMatchObject({ total: report.total });
      expect(report.total.requests).toBe(60 + 13 + 1);
    };
    await look(server);
    const text = await scrape(server, "application/openmetrics-text; version=1.0.0");
    expect(text.endsWith("# EOF\n")).toBe(true);
    expect(text).not.toContain("nobody-at-all");
    expect(text).toContain(`sluice_split_configured_ratio{worker="obedient",version="${candidate}"} 0.4\n`);

    // More, and a stop right after it: nothing of it is lost.
    await server.traffic("obedient", { path: "/throw", headers: { [OVERRIDES]: `obedient="${candidate}"` } });
    sorted[`${candidate} override exception`] = 6;
    expect(await server.stop()).toBe(0);
    const again = await startServer({ like: server, args });
    try {
      expect(await fromPrometheus(again, "obedient")).toEqual(sorted);
      // What was read is on disk: a crash neither loses it nor counts it once more.
      await again.kill();
    } finally {
      await again.stop();
    }
    const last = await startServer({ like: server, args });
    try {
      expect(await fromPrometheus(last, "obedient")).toEqual(sorted);
    } finally {
      await disposeServer(last);
    }
  });
});

test("traffic processes that outlive the control side send the counts of the time when it was away", async () => {
  const args = ["--processes", "2"];
  const server = await useServer({ args });
  const id = await deploy(server, "orphaned", answering("served"));
  await server.traffic("orphaned");
  expect((await fromApi(server, "orphaned")).total.ok).toBe(1);
  const pids = JSON.parse(await readServerFile(server)).runtime_pid as number;
  process.kill(pids, "SIGKILL");
  for (let i = 0; i < 40; i++) expect((await server.traffic("orphaned")).status).toBe(200);
  // Miniflare starts the control process again.
  await waitForApi(server);
  for (let i = 0; i < 60 && (await fromApi(server, "orphaned")).total.ok < 41; i++)
    await new Promise((go) => setTimeout(go, 250));
  expect(await fromPrometheus(server, "orphaned")).toEqual({ [`${id} single ok`]: 41 });
});

async function readServerFile(server: Server): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return readFile(`${server.dataDir}/server.json`, "utf8");
}

async function waitForApi(server: Server): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const response = await server.api("GET", "/workers/scripts").catch(() => undefined);
    if (response?.ok) return;
    await new Promise((go) => setTimeout(go, 200));
  }
  throw new Error("the control side did not come back");
}

test("a Worker that is deleted takes its counts with it, and one of the same name begins anew", async () => {
  const server = await useServer();
  await deploy(server, "short-lived", answering("a"));
  await deploy(server, "bystander", answering("b"));
  for (let i = 0; i < 3; i++) await server.traffic("short-lived");
  await server.traffic("bystander");
  expect((await fromApi(server, "short-lived")).total.ok).toBe(3);
  await call(server, "DELETE", "/workers/services/short-lived");
  expect(await scrape(server)).not.toContain("short-lived");
  expect((await call(server, "GET", "/workers/scripts/short-lived/metrics")).status).toBe(404);
  await deploy(server, "short-lived", answering("again"));
  await server.traffic("short-lived");
  expect((await fromApi(server, "short-lived")).total).toMatchObject({ requests: 1, ok: 1 });
  expect((await fromApi(server, "bystander")).total.ok).toBe(1);
});

test("/metrics shows nothing without a token, and says how to ask", async () => {
  const server = await useServer();
  const response = await fetch(`${server.control}/metrics`);
  expect(response.status).toBe(401);
  const { errors } = (await response.json()) as { errors: { message: string }[] };
  expect(errors[0]?.message).toContain("Authorization: Bearer");
});

describe.each(series({ full: [1, 2], usual: [2] }))(
  "with --processes %i, counts that nobody has read yet",
  (processes) => {
    const args = ["--processes", String(processes)];

    test("go with their Worker, and so do those of answers that begin after it was deleted", async () => {
      const server = await useServer({ args });
      const slow = "await new Promise((go) => setTimeout(go, 2_500));";
      await deploy(server, "leaving", {
        modules: {
          "index.js": {
            content: `export default { async fetch({ url }) { if (url.endsWith("/slow")) { ${slow} } return new Response(); } };`,
          },
        },
      });
      for (let i = 0; i < 20; i++) await server.traffic("leaving");
      const late = server.traffic("leaving", { path: "/slow" });
      await new Promise((go) => setTimeout(go, 500));
      await call(server, "DELETE", "/workers/services/leaving");
      await deploy(server, "leaving", answering("again"));
      expect((await fromApi(server, "leaving")).total.requests).toBe(0);
      expect((await late).status).toBe(200);
      expect((await fromApi(server, "leaving")).total.requests).toBe(0);
    });

    test("may be lost by kill -9, and are never counted twice", async () => {
      const server = await useServer({ args });
      const a = await deploy(server, "killed", answering("a"));
      const b = await uploadVersion(server, "killed", answering("b"));
      await createDeployment(server, "killed", [
        [a, 50],
        [b, 50],
      ]);
      for (let i = 0; i < 30; i++) await server.traffic("killed");
      const read = await fromApi(server, "killed");
      expect(read.total.ok).toBe(30);
      expect(read.versions.flatMap(({ reasons }) => Object.keys(reasons))).toEqual(["random", "random"]);
      for (let i = 0; i < 25; i++) await server.traffic("killed");
      await server.kill();
      const again = await startServer({ like: server, args });
      try {
        const { ok } = (await fromApi(again, "killed")).total;
        expect(ok).toBeGreaterThanOrEqual(30);
        expect(ok).toBeLessThanOrEqual(55);
        for (let i = 0; i < 5; i++) await again.traffic("killed");
        expect((await fromApi(again, "killed")).total.ok).toBe(ok + 5);
      } finally {
        await disposeServer(again);
      }
    });
  },
);
