/** An exception as text, on its way from one process to another. Pure. */

/** The classes that keep their type on the way. */
const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError } as const;

/** Longest message, in characters. An answer with much longer headers would count as lost with its process. */
const MAX_MESSAGE = 8_192;

/** An exception's name and message, in characters that a header takes. */
export function writeError(error: unknown): string {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return encodeURIComponent(JSON.stringify([name.slice(0, MAX_MESSAGE), message.slice(0, MAX_MESSAGE)]));
}

/** The exception again; an `Error` if its class is not one of JavaScript's own. */
export function readError(text: string): Error {
  const [name, message] = JSON.parse(decodeURIComponent(text)) as [string, string];
  const Type = Object.hasOwn(ERRORS, name) ? ERRORS[name as keyof typeof ERRORS] : Error;
  return new Type(message);
}
