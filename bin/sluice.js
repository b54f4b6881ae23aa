#!/usr/bin/env node
// Starts the `sluice` command on a Node.js that can run it. A checkout runs its TypeScript sources, an installed package
// the build in dist/. If the current Node.js is too old, a checkout uses the one that it has installed for itself.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, "src", "cli", "index.ts");
const inCheckout = existsSync(source);
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const atLeast = (wantedMajor, wantedMinor) =>
  major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);

if (inCheckout ? atLeast(22, 18) : atLeast(22, 12)) {
  await import(pathToFileURL(inCheckout ? source : join(root, "dist", "cli.js")).href);
} else {
  const own = join(root, "node_modules", "node", "bin", "node");
  if (!existsSync(own)) {
    console.error(
      `sluice needs Node.js 22.12 or newer; this is ${process.versions.node}. In a checkout, run npm install.`,
    );
    process.exit(1);
  }
  const child = spawn(own, process.argv.slice(1), { stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}
