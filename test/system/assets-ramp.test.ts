/** Pages and their files through a whole rollout: what the page was made with is there, whatever version answers. */
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { type Files, withAssets } from "../support/assets.ts";
import { createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { type Server, series, useServer } from "../support/server.ts";
import { inParallel } from "./helpers.ts";

const PAGES = series({ full: 10_000, usual: 3_000 });
const FILES_OF_A_PAGE = 20;
const BROWSERS = 16;
/** Share of the candidate, and of all pages that are loaded while it has that. The last one is the rollback. */
const RAMP = [10, 25, 50, 75, 100, 0] as const;

function build(name: string): Files {
  const scripts = Array.from(
    { length: FILES_OF_A_PAGE },
    (_, i) => `/assets/part${i}-${name}${String(i).padStart(4, "0")}.js`,
  );
  const page = scripts.map((src) => `<script type="module" src="${src}"></script>`).join("\n");
  return {
    "/index.html": `<!doctype html>${page}`,
    ...Object.fromEntries(scripts.map((path) => [path, `export default ${JSON.stringify(path)};`])),
  };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A connection that is kept, with one request at a time. */
class Browser {
  readonly #socket: Socket;
  readonly #host: string;
  #received = "";
  #waiting: ((answer: Answer) => void) | undefined;

  constructor(server: Server, host: string) {
    this.#host = host;
    this.#socket = connect(server.trafficPort, "127.0.0.1");
    this.#socket.setNoDelay();
    this.#socket.on("data", (chunk) => this.#receive(chunk.toString("latin1")));
  }

  get(path: string): Promise<Answer> {
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = this.#received.slice(0, end);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? Number.NaN);
    if (Number.isNaN(length)) throw new Error(`an answer without a length:\n${head}`);
    if (this.#received.length < end + 4 + length) return;
    const body = this.#received.slice(end + 4, end + 4 + length);
    this.#received = this.#received.slice(end + 4 + length);
    const type = /^content-type: (.+)$/im.exec(head)?.[1] ?? "";
    this.#waiting?.({ status: Number(head.slice(9, 12)), type, body });
  }
}

test(`no file of ${PAGES} pages is missing, and none is a page, while a rollout starts at 10%, ends at 100% and is rolled back`, async () => {
  const server = await useServer();
  const stable = await deploy(
    server,
    "shop",
    await withAssets(server, "shop", build("Aa1b"), {
      config: { not_found_handling: "single-page-application" },
    }),
  );
  const candidate = await uploadVersion(
    server,
    "shop",
    await withAssets(server, "shop", build("Zz9y"), {
      config: { not_found_handling: "single-page-application" },
    }),
  );
  const browsers = Array.from({ length: BROWSERS }, () => new Browser(server, "shop.localhost"));
  const pages = { stable: 0, candidate: 0 };
  const wrong: string[] = [];
  let loaded = 0;

  const load = async (browser: Browser) => {
    const page = await browser.get("/");
    const scripts = [...page.body.matchAll(/src="([^"]+)"/g)].map(([, src]) => src as string);
    if (page.status !== 200 || scripts.length !== FILES_OF_A_PAGE) wrong.push(`${page.status} ${page.body}`);
    pages[page.body.includes("Zz9y") ? "candidate" : "stable"]++;
    for (const path of scripts) {
      const { status, type, body } = await browser.get(path);
      if (
        status !== 200 ||
        !type.startsWith("text/javascript") ||
        body !== `export default ${JSON.stringify(path)};`
      ) {
        wrong.push(`${path}: ${status} ${type}`);
      }
    }
    loaded++;
  };

  const rollout = async () => {
    for (const [step, percentage] of RAMP.entries()) {
      const shares =
        percentage === 0
          ? [[stable, 100]]
          : percentage === 100
            ? [[candidate, 100]]
            : [
                [stable, 100 - percentage],
                [candidate, percentage],
              ];
      expect((await createDeployment(server, "shop", shares as [string, number][])).errors).toEqual([]);
      while (loaded < ((step + 1) * PAGES) / RAMP.length)
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  let begun = 0;
  const browse = inParallel(BROWSERS, browsers, async (browser) => {
    while (begun++ < PAGES) await load(browser);
  });
  await Promise.all([browse, rollout()]);
  for (const browser of browsers) browser.close();

  expect(wrong.slice(0, 10)).toEqual([]);
  expect(loaded).toBeGreaterThanOrEqual(PAGES);
  // Both had a part in it: without what is tested here, one file in five or so would have been missing.
  expect(pages.stable).toBeGreaterThan(PAGES / 4);
  expect(pages.candidate).toBeGreaterThan(PAGES / 4);
}, 600_000);
