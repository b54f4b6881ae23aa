/** Split decisions in workerd, where they run. The clock stands still within a request, so the caller takes the time. */
import xxhash from "xxhash-wasm";
import { decide } from "../../src/router/decide.ts";
import { compileSplit } from "../../src/router/split.ts";
import { DEPLOYMENT, keysOf } from "../input.ts";

const { h32 } = await xxhash();
const split = compileSplit(DEPLOYMENT);

/** Each returns a number, so that nothing can be optimised away. */
const contenders: Record<string, (key: string) => number> = {
  "bare xxh32": (key) => h32(key),
  decision: (key) => decide(split, undefined, key, Math.random).version.number,
};

export default {
  fetch(request: Request): Response {
    const { searchParams } = new URL(request.url);
    const run = contenders[searchParams.get("contender") ?? ""];
    if (run === undefined) return Response.json(Object.keys(contenders));
    const keys = keysOf(Number(searchParams.get("length")));
    const rounds = Number(searchParams.get("rounds"));
    let sink = 0;
    for (let round = 0; round < rounds; round++) for (const key of keys) sink ^= run(key);
    return new Response(String(sink));
  },
};
