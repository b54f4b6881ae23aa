/** The split decision against the bare hash, inside workerd. */
import { bundleBench, startWorkerd } from "../workerd.ts";
import { KEY_LENGTHS, keysOf } from "../input.ts";
import { atMost, median, type Row } from "../table.ts";

const ROUNDS = 21;
const LOOPS_PER_REQUEST = 1_000;

export async function measure(): Promise<Row[]> {
  const { modules } = await bundleBench("decision");
  const mf = startWorkerd({ modules });
  const time = async (contender: string, length: number, rounds: number) => {
    const query = new URLSearchParams({ contender, length: String(length), rounds: String(rounds) });
    const started = performance.now();
    await (await mf.dispatchFetch(`http://bench/?${query}`)).text();
    return performance.now() - started;
  };
  const found: Row[] = [];
  for (const length of KEY_LENGTHS) {
    const contenders = ["bare xxh32", "decision"];
    const samples = new Map<string, number[]>(contenders.map((name) => [name, []]));
    for (const name of contenders) await time(name, length, LOOPS_PER_REQUEST);
    for (let round = 0; round < ROUNDS; round++) {
      for (const name of round % 2 === 0 ? contenders : contenders.toReversed()) {
        // What one request costs around the loop is taken off.
        const overhead = await time(name, length, 0);
        const total = await time(name, length, LOOPS_PER_REQUEST);
        const count = LOOPS_PER_REQUEST * keysOf(length).length;
        samples.get(name)?.push(((total - overhead) * 1e6) / count);
      }
    }
    const bare = median(samples.get("bare xxh32") ?? []);
    const ours = median(samples.get("decision") ?? []);
    found.push(
      atMost(
        `split decision, ${length}-character keys, 2 versions`,
        `${ours.toFixed(0)} ns`,
        `bare xxh32 of xxhash-wasm: ${bare.toFixed(0)} ns`,
        ours / bare,
        1.1,
      ),
    );
  }
  await mf.dispose();
  return found;
}
