/** Cloudflare's v4 envelope around every answer of the API. */
import type { SluiceError } from "../lib/errors.ts";
import type { Result } from "../lib/result.ts";
import { toWire } from "./codes.ts";

/** @param extra fields beside the result, such as `result_info` */
export function success(
  result: unknown,
  extra: Readonly<Record<string, unknown>> = {},
  status: 200 | 201 | 202 = 200,
): Response {
  return Response.json({ success: true, errors: [], messages: [], result, ...extra }, { status });
}

/** One page of a list, by the `page` (from 1) and `per_page` of the query. */
export function successOfPage(all: readonly unknown[], page = "1", perPage = "100"): Response {
  const size = Math.min(Math.max(Number(perPage) || 100, 1), 1_000);
  const number = Math.max(Number(page) || 1, 1);
  const items = all.slice((number - 1) * size, number * size);
  const result_info = { page: number, per_page: size, count: items.length, total_count: all.length };
  return success(items, { result_info });
}

export function failure(error: SluiceError): Response {
  const { status, errors } = toWire(error);
  return Response.json({ success: false, errors, messages: [], result: null }, { status });
}

/** The envelope of an outcome. `show` turns its value into what the API shows. */
export function respond<T>(outcome: Result<T, SluiceError>, show: (value: T) => unknown): Response {
  return outcome.ok ? success(show(outcome.value)) : failure(outcome.error);
}

/** The answer to a fault of Sluice itself. It reveals nothing internal. */
export function internalError(): Response {
  const errors = [{ code: 10013, message: "Sluice failed to answer. Its log says why." }];
  return Response.json({ success: false, errors, messages: [], result: null }, { status: 500 });
}
