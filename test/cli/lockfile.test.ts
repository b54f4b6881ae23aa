/** npm ci installs on every machine: package-lock.json has an entry for each package that some platform needs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../support/server.ts";

interface Entry {
  readonly version?: string;
  readonly integrity?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
  packages: Readonly<Record<string, Entry>>;
};

const PLATFORMS = ["linux", "darwin", "win32"].flatMap((os) => ["x64", "arm64"].map((cpu) => `${os} ${cpu}`));

/** Platforms for which upstream builds nothing. On Windows for ARM workerd starts its x64 build. */
const NOT_BUILT: Readonly<Record<string, readonly string[]>> = {
  workerd: ["win32 arm64"],
};

/** Packages whose own code runs everywhere: what is optional about them is an addition for one platform. */
const ADDITIONS = ["fsevents"];

/** The entry that Node would find for a package from the folder of another one. */
function resolve(from: string, name: string): Entry | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf("/node_modules/"), 0))) {
    const entry = packages[`${folder === "" ? "" : `${folder}/`}node_modules/${name}`];
    if (entry !== undefined || folder === "") return entry;
  }
}

const owners = Object.entries(packages).flatMap(([path, { optionalDependencies }]) =>
  optionalDependencies === undefined
    ? []
    : [[path.replace(/^.*node_modules\//, ""), path, Object.keys(optionalDependencies)] as const],
);

test.each(owners)(
  "every optional package of %s is locked, with its version and its checksum",
  (_, path, names) => {
    for (const name of names) {
      expect(resolve(path, name), name).toMatchObject({
        version: expect.stringMatching(/^\d/),
        integrity: expect.stringMatching(/^sha\d+-/),
      });
    }
  },
);

/**
 * Owners whose optional packages are builds, one for each platform. The package node is none of them: its install script
 * asks npm for the build of the machine, so the lock has none.
 */
const built = owners
  .map(([owner, path, names]) => {
    const builds = names
      .filter((name) => !ADDITIONS.includes(name))
      .map((name) => resolve(path, name))
      .filter((entry) => entry?.os !== undefined && entry.cpu !== undefined) as Required<Entry>[];
    return [owner, builds] as const;
  })
  // A build of one platform may have optional packages too, for the same platform only.
  .filter(([, builds]) => new Set(builds.flatMap(({ os }) => os)).size > 1);

test("the packages that have a build for each platform are known", () => {
  expect(built.map(([owner]) => owner).sort()).toEqual([
    "@biomejs/biome",
    "@lydell/node-pty",
    "esbuild",
    "lightningcss",
    "rolldown",
    "sharp",
    "typescript",
    "workerd",
  ]);
});

test.each(built)("%s is locked for Linux, macOS and Windows, on x64 and ARM", (owner, builds) => {
  const missing = PLATFORMS.filter((platform) => {
    const [os = "", cpu = ""] = platform.split(" ");
    return !builds.some((build) => build.os.includes(os) && build.cpu.includes(cpu));
  });
  expect(missing).toEqual(NOT_BUILT[owner] ?? []);
  // npm refuses another platform's package that is not optional.
  expect(builds.filter(({ optional }) => !optional)).toEqual([]);
});
