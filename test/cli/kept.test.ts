/** What was bundled is used again, and never when the files of this checkout would give something else now. */
import { cp, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { digest, keep } from "../../src/cli/kept.ts";

let folder: string;
let made: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-kept-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  made = 0;
  await writeFile(input(), "one");
});

const input = (root = folder) => join(root, "input");
const get = (file = join(folder, "cache/kept.json"), root = folder) =>
  keep(file, root, async () => {
    made++;
    const content = await readFile(input(root));
    return { value: content.toString(), inputs: { input: digest(content) } };
  });

test("it is made once, and again when a file has changed, in length or only in content", async () => {
  expect([await get(), await get(), made]).toEqual(["one", "one", 1]);
  await writeFile(input(), "three");
  expect([await get(), made]).toEqual(["three", 2]);
  await writeFile(input(), "seven");
  await utimes(input(), new Date(), new Date(Date.now() + 5_000));
  expect([await get(), await get(), made]).toEqual(["seven", "seven", 3]);
});

test("it is made again when a file has changed and its time has not", async () => {
  const time = new Date(2026, 0);
  await utimes(input(), time, time);
  await get();
  await writeFile(input(), "two");
  await utimes(input(), time, time);
  expect([await get(), made]).toEqual(["two", 2]);
});

test("a change while it is made is not missed", async () => {
  const file = join(folder, "cache/kept.json");
  await keep(file, folder, async () => {
    const content = await readFile(input());
    await writeFile(input(), "two");
    return { value: content.toString(), inputs: { input: digest(content) } };
  });
  expect([await get(), made]).toEqual(["two", 1]);
});

test("a copied folder uses the cache while its files are the same, and not once a file differs", async () => {
  await get();
  const copy = await mkdtemp(join(tmpdir(), "sluice-kept-"));
  onTestFinished(() => rm(copy, { recursive: true, force: true }));
  await cp(folder, copy, { recursive: true, preserveTimestamps: true });
  const getCopy = () => get(join(copy, "cache/kept.json"), copy);
  // What happens to the original is nothing to the copy.
  await writeFile(input(), "own");
  expect([await getCopy(), made]).toEqual(["one", 1]);
  await rm(input());
  await writeFile(input(copy), "two");
  expect([await getCopy(), await getCopy(), made]).toEqual(["two", "two", 2]);
});

test("a damaged cache, or one of an older form, is made again", async () => {
  for (const [times, damaged] of ['{"value": "ha', '{"value":"ha","inputs":[["input",1,3]]}'].entries()) {
    await get();
    await writeFile(join(folder, "cache/kept.json"), damaged);
    expect([await get(), made]).toEqual(["one", times + 2]);
  }
});

test("where nothing can be kept it is made each time", async () => {
  const file = join(input(), "not-a-folder/kept.json");
  expect([await get(file), await get(file), made]).toEqual(["one", "one", 2]);
});
