/** A data folder of release 0.1, which kept KV and R2 with Miniflare, is served by this release. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { deploy } from "../../support/client.ts";
import { disposeServer, freePort, startServer } from "../../support/server.ts";
import { answersFor, deploymentsOf, keys, logged, NAMING_ITSELF } from "../helpers.ts";

/**
 * Made by release 0.1 (85b76b4): the example Worker at 90/10, and `shop`, bound to a namespace with a short and a long
 * value and to a bucket with an object. Every file of the folder, by its path, in base64.
 */
const FOLDER = join(import.meta.dirname, "release-0.1.json.br");

async function oldFolder() {
  const root = await mkdtemp(join(tmpdir(), "sluice-test-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const dataDir = join(root, "data");
  const files = JSON.parse(brotliDecompressSync(await readFile(FOLDER)).toString()) as Record<string, string>;
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(dataDir, path)), { recursive: true });
    await writeFile(join(dataDir, path), Buffer.from(content, "base64"));
  }
  return { trafficPort: await freePort(), controlPort: await freePort(), dataDir };
}

const SHOP = { greeting: "hello from 0.1", long: 100_000, object: 200_000, type: "text/plain" };

test("the first start carries everything over, and later ones find it", async () => {
  const at = await oldFolder();
  let server = await startServer({ like: at });
  onTestFinished(() => disposeServer(server));
  expect(logged(server, "data-carried-over")).toMatchObject([
    { kv: { data: { copied: 2, failed: 0 } }, r2: { copied: 1, failed: 0 } },
  ]);
  for (const round of ["first", "second"]) {
    expect([round, JSON.parse((await server.traffic("shop")).body)]).toEqual([round, SHOP]);
    const [active] = await deploymentsOf(server, "hello");
    expect(active.versions.map(({ percentage }: { percentage: number }) => percentage)).toEqual([90, 10]);
    const answers = [...(await answersFor(server, "hello", keys(100))).values()];
    expect(answers.every((answer) => /^Hello from (blue|green)/.test(answer))).toBe(true);
    const next = await deploy(server, "shop-2", NAMING_ITSELF);
    expect((await server.traffic("shop-2")).body).toBe(next);
    if (round === "first") {
      expect(await server.stop()).toBe(0);
      server = await startServer({ like: server });
      expect(logged(server, "data-carried-over")).toEqual([]);
    }
  }
  expect(existsSync(join(at.dataDir, "storage/kv"))).toBe(false);
  expect(existsSync(join(at.dataDir, "storage/before-0.2/kv"))).toBe(true);
});

test("a folder with a file that is missing is not served, and left as it was", async () => {
  const at = await oldFolder();
  const blobs = join(at.dataDir, "storage/r2/buckets/blobs");
  await rm(blobs, { recursive: true });
  await expect(startServer({ like: at })).rejects.toThrow(
    /could not be carried over, and is unchanged.*a\/long\.txt/s,
  );
  expect(existsSync(join(at.dataDir, "storage/kv/miniflare-KVNamespaceObject"))).toBe(true);
  expect(existsSync(join(at.dataDir, "storage/before-0.2"))).toBe(false);
});
