/** What the tests of the dashboard share: a server, a browser, its visitors, and traffic. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import { launchBrowser } from "../../support/browser.ts";
import { answering, call, createDeployment, deploy, uploadVersion } from "../../support/client.ts";
import { type Visitor, type VisitorOptions, visit } from "../../support/dashboard.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";

export const KEY = "Cloudflare-Workers-Version-Key";

export let server: Server;
export let browser: Browser;

/** Starts the server and the browser of the file. */
export function useDashboard(): void {
  beforeAll(async () => {
    [server, browser] = await Promise.all([startServer(), launchBrowser()]);
  });

  afterAll(async () => {
    await browser.close();
    await disposeServer(server);
  });
}

/** A browser that is closed with the test, and must have seen nothing wrong. */
export async function useVisitor(options: VisitorOptions & { at?: Server } = {}): Promise<Visitor> {
  const visitor = await visit(browser, options.at ?? server, options);
  onTestFinished(async () => {
    await visitor.context.close();
    expect(visitor.faults).toEqual([]);
  });
  return visitor;
}

/** Requests, one after the other, until the test is done. Counts what came back. */
export function useLoad(worker: string, at: Server = server): Map<string, number> {
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
export async function useSplit(worker: string, percentage: number, at: Server = server) {
  const stable = await deploy(at, worker, answering("stable"));
  const candidate = await uploadVersion(at, worker, answering("candidate"));
  await createDeployment(at, worker, [
    [stable, 100 - percentage],
    [candidate, percentage],
  ]);
  return { stable, candidate };
}

export async function activeSplit(worker: string): Promise<unknown> {
  const { result } = await call(server, "GET", `/workers/scripts/${worker}/deployments`);
  return result.deployments[0].versions;
}
