/** The split decision inside workerd, against the bare hash that it uses, and against libraries for feature flags. */
import { KEY_LENGTHS, keysOf } from "../input.ts";
import { atMost, median, medianRatio, type Row } from "../table.ts";
import { bundleBench, startWorkerd } from "../workerd.ts";

const ROUNDS = Number(process.env.BENCH_DECISION_ROUNDS ?? 21);
/** Target duration of one request, in ms: much longer than the request's own cost. */
const REQUEST_MS = 60;
const CALIBRATION_ROUNDS = 40;

/** What the pickers of other libraries call, by their name in workers/pickers.ts. */
const OTHERS = {
  unleash: "flexibleRollout of unleash-client",
  "unleash-hash": "normalizedStrategyValue alone, of unleash-client",
  growthbook: "GrowthBookClient.runInlineExperiment",
  "growthbook-hash": "hash and chooseVariation alone, inside GrowthBook",
  launchdarkly: "SHA-1 as LaunchDarkly uses it, node:crypto",
} as const;
type Picker = "decision" | "xxhash" | keyof typeof OTHERS;

const NAMES: readonly Picker[] = ["decision", "xxhash", ...(Object.keys(OTHERS) as (keyof typeof OTHERS)[])];

/** Nanoseconds per choice, one figure per round, by picker. */
type Samples = Readonly<Record<Picker, number[]>>;

export async function measure(): Promise<Row[]> {
  const { modules } = await bundleBench("decision");
  const mf = startWorkerd({ modules, compatibilityFlags: ["nodejs_compat"] });
  const ask = async (picker: Picker, length: number, rounds: number) => {
    const query = new URLSearchParams({ picker, length: String(length), rounds: String(rounds) });
    const started = performance.now();
    const response = await mf.dispatchFetch(`http://bench/?${query}`);
    const odd = Number(await response.text());
    return { odd, ms: performance.now() - started };
  };
  try {
    const byLength = new Map<number, Samples>();
    for (const picker of NAMES) await checkShare(picker, ask);
    for (const length of KEY_LENGTHS) byLength.set(length, await sample(length, ask));
    return [
      ...KEY_LENGTHS.map((length) => againstHash(length, byLength.get(length) as Samples)),
      ...Object.entries(OTHERS).map(([other, what]) =>
        againstOther(other as keyof typeof OTHERS, what, byLength),
      ),
    ];
  } finally {
    await mf.dispose();
  }
}

type Ask = (picker: Picker, length: number, rounds: number) => Promise<{ odd: number; ms: number }>;

/** Fails if a picker does not split half and half. */
async function checkShare(picker: Picker, ask: Ask): Promise<void> {
  let odd = 0;
  for (const length of KEY_LENGTHS) odd += (await ask(picker, length, 1)).odd;
  const share = odd / KEY_LENGTHS.reduce((sum, length) => sum + keysOf(length).length, 0);
  if (!(share > 0.45 && share < 0.55)) throw new Error(`${picker} gives one side ${share} of the keys`);
}

async function sample(length: number, ask: Ask): Promise<Samples> {
  const samples = Object.fromEntries(NAMES.map((picker) => [picker, [] as number[]])) as unknown as Samples;
  const rounds = {} as Record<Picker, number>;
  for (const picker of NAMES) {
    // Warms the compiler up.
    await ask(picker, length, CALIBRATION_ROUNDS);
    const overhead = await ask(picker, length, 0);
    const total = await ask(picker, length, CALIBRATION_ROUNDS);
    rounds[picker] = Math.ceil((CALIBRATION_ROUNDS * REQUEST_MS) / Math.max(total.ms - overhead.ms, 1));
    await ask(picker, length, rounds[picker]);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const picker of round % 2 === 0 ? NAMES : NAMES.toReversed()) {
      // The cost of a request without choices is subtracted.
      const overhead = await ask(picker, length, 0);
      const total = await ask(picker, length, rounds[picker]);
      const choices = rounds[picker] * keysOf(length).length;
      samples[picker].push(((total.ms - overhead.ms) * 1e6) / choices);
    }
  }
  return samples;
}

function againstHash(length: number, samples: Samples): Row {
  return atMost(1.1, {
    what: `split decision, ${length}-character keys, 2 versions`,
    value: `${median(samples.decision).toFixed(0)} ns`,
    against: `bare xxh32 of xxhash-wasm: ${median(samples.xxhash).toFixed(0)} ns`,
    ratio: medianRatio(samples.decision, samples.xxhash),
  });
}

/** The key length with the worst ratio for Sluice. */
function againstOther(other: keyof typeof OTHERS, what: string, byLength: ReadonlyMap<number, Samples>): Row {
  const [worst] = [...byLength]
    .map(([length, samples]) => ({ length, samples, ratio: medianRatio(samples.decision, samples[other]) }))
    .sort((x, y) => y.ratio - x.ratio);
  if (worst === undefined) throw new Error("no keys were measured");
  const { length, samples, ratio } = worst;
  return {
    what: `split decision against others, worst of ${KEY_LENGTHS.length} key lengths: ${length} characters`,
    value: `${median(samples.decision).toFixed(0)} ns`,
    against: `${what}: ${median(samples[other]).toFixed(0)} ns`,
    ratio,
    target: "< 1",
    met: ratio < 1,
  };
}
