/** What was bundled is used again, and never when it is not what the files would give now. */
import { mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { keep } from "../../src/cli/kept.ts";

let folder: string;
let made: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-kept-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  made = 0;
  await writeFile(input(), "one");
});

const input = () => join(folder, "input");
const get = (file = join(folder, "cache/kept.json")) =>
  keep(file, async () => {
    made++;
    return { value: await readFile(input(), "utf8"), inputs: [input()] };
  });

test("it is made once, and again when a file has changed, in length or only in time", async () => {
  expect([await get(), await get(), made]).toEqual(["one", "one", 1]);
  await writeFile(input(), "three");
  expect([await get(), made]).toEqual(["three", 2]);
  await writeFile(input(), "seven");
  await utimes(input(), new Date(), new Date(Date.now() + 5_000));
  expect([await get(), await get(), made]).toEqual(["seven", "seven", 3]);
});

test("what is kept but damaged is made again", async () => {
  await get();
  await writeFile(join(folder, "cache/kept.json"), '{"value": "ha');
  expect([await get(), made]).toEqual(["one", 2]);
});

test("where nothing can be kept it is made each time", async () => {
  const file = join(input(), "not-a-folder/kept.json");
  expect([await get(file), await get(file), made]).toEqual(["one", "one", 2]);
});
