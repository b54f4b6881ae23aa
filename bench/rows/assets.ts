/** What a request for an asset costs, and a request to code of a Worker that has assets. */
import { createHash } from "node:crypto";
import { duels, middle, pairedRatio, type Result } from "../load.ts";
import { Sluice } from "../sluice.ts";
import { type Row, report } from "../table.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 60);
const FILE = "x".repeat(2_000);
const HASHED = "/assets/index-DiwrgTda.js";
const CODE = `const body = ${JSON.stringify(FILE)};
export default { fetch: () => new Response(body, { headers: { "Content-Type": "text/javascript" } }) };`;

export async function measure(): Promise<Row[]> {
  const sluice = await Sluice.start();
  try {
    await sluice.deploy("plain", CODE);
    await sluice.deploy("site", CODE, {
      assets: { jwt: await sluice.uploadFile("site", "/app.js", hash("app"), FILE) },
    });
    // The previous version has a file that the active one lacks.
    await sluice.deploy("later", CODE, {
      assets: { jwt: await sluice.uploadFile("later", HASHED, hash("old"), FILE) },
    });
    await sluice.deploy("later", CODE, {
      assets: { jwt: await sluice.uploadFile("later", "/app.js", hash("app"), FILE) },
    });
    const pids = [sluice.pids.runtime_pid];
    const at = (worker: string, path: string) => ({
      url: `http://${worker}.localhost:${sluice.trafficPort}${path}`,
      pids,
    });
    const contenders = {
      plain: at("plain", "/"),
      file: at("site", "/app.js"),
      code: at("site", "/api/users/1"),
      retained: at("later", HASHED),
    };
    console.log("\nAssets, in turns with a version without any:");
    const [file, code, retained] = (await duels(contenders, [
      { ours: "file", theirs: "plain", rounds: ROUNDS },
      { ours: "code", theirs: "plain", rounds: ROUNDS },
      { ours: "retained", theirs: "plain", rounds: ROUNDS },
    ])) as [Result, Result, Result];
    return [
      cost("a file of 2 kB", file),
      cost("a request to code beside files", code),
      cost("a file of a version that has left", retained),
    ];
  } finally {
    await sluice.stop();
  }
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

function cost(what: string, { ours, theirs }: Result): Row {
  return report(
    `CPU of ${what}`,
    `${middle(ours, "cpuMicroseconds").toFixed(1)} µs`,
    `a version that answers the same: ${middle(theirs, "cpuMicroseconds").toFixed(1)} µs`,
    pairedRatio(ours, theirs, "cpuMicroseconds"),
  );
}
