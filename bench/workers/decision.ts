/** Chooses by key inside workerd. The clock stands still within a request, so the caller takes the time. */
import { KEY_LENGTHS, keysOf } from "../input.ts";
import { PICKERS } from "./pickers.ts";

const received = new Map<number, string[]>(
  KEY_LENGTHS.map((length) => [length, keysOf(length).map(asReceived)]),
);

export default {
  /** Chooses for every key `rounds` times. Answers how many keys got the odd side. */
  fetch(request: Request): Response {
    const { searchParams } = new URL(request.url);
    const pick = PICKERS[searchParams.get("picker") ?? ""];
    if (pick === undefined) return new Response("This picker does not exist.\n", { status: 404 });
    const keys = received.get(Number(searchParams.get("length"))) ?? [];
    const rounds = Number(searchParams.get("rounds"));
    let odd = 0;
    for (let round = 0; round < rounds; round++) for (const key of keys) odd += pick(key) & 1;
    return new Response(String(odd / Math.max(rounds, 1)));
  },
};

/** A flat string, as a header's value is, not a slice of a longer one. */
function asReceived(key: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(key));
}
