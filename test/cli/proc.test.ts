/** What Linux says of a process. */
import { expect, test } from "vitest";
import { figuresOf, maxFilesOf, residentOf } from "../../src/cli/processes/proc.ts";

test("memory is read in bytes, and a process that is ending has none", () => {
  expect(residentOf("Name:\tworkerd\nVmHWM:\t   90000 kB\nVmRSS:\t   80000 kB\nThreads:\t4\n")).toBe(
    81_920_000,
  );
  expect(residentOf("Name:\tworkerd\nState:\tZ (zombie)\n")).toBeNull();
});

test("the soft limit of open files counts, and there may be none", () => {
  const head = "Limit                     Soft Limit           Hard Limit           Units     \n";
  expect(
    maxFilesOf(`${head}Max open files            1024                 4096                 files     \n`),
  ).toBe(1024);
  expect(
    maxFilesOf(`${head}Max open files            unlimited            unlimited            files     \n`),
  ).toBeNull();
});

test("a process that does not run has no figures", async () => {
  const nothing = { resident_memory_bytes: null, open_fds: null, max_fds: null, cpu_seconds: null };
  expect(await figuresOf(undefined)).toEqual(nothing);
  expect(await figuresOf(2 ** 30)).toEqual(nothing);
});

test.runIf(process.platform === "linux")("this process has figures", async () => {
  const { resident_memory_bytes, open_fds, cpu_seconds } = await figuresOf(process.pid);
  for (const figure of [resident_memory_bytes, open_fds, cpu_seconds]) expect(figure).toBeGreaterThan(0);
});
