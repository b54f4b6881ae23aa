/** Cloudflare's v4 envelope around every answer of the API. */
import type { SluiceError } from "../errors.ts";
import type { Result } from "../result.ts";
import { toWire } from "./codes.ts";

export function success(result: unknown, status = 200): Response {
  return Response.json({ success: true, errors: [], messages: [], result }, { status });
}

export function failure(error: SluiceError): Response {
  const { status, errors } = toWire(error);
  return Response.json({ success: false, errors, messages: [], result: null }, { status });
}

/** The envelope of an outcome; `show` turns the value into what the API shows. */
export function respond<T>(outcome: Result<T, SluiceError>, show: (value: T) => unknown): Response {
  return outcome.ok ? success(show(outcome.value)) : failure(outcome.error);
}

/** For a fault of ours: says so, and nothing internal. */
export function internalError(): Response {
  const errors = [{ code: 10013, message: "Sluice failed to answer. Its log says why." }];
  return Response.json({ success: false, errors, messages: [], result: null }, { status: 500 });
}
