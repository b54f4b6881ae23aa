/** R2's errors, with the codes and words that a Worker sees. */
import type { Algorithm, StoredObject } from "./types.ts";

const ERRORS = {
  internal: [500, 10001, "We encountered an internal error. Please try again."],
  noSuchKey: [404, 10007, "The specified key does not exist."],
  entityTooLarge: [400, 100100, "Your proposed upload exceeds the maximum allowed object size."],
  entityTooSmall: [400, 10011, "Your proposed upload is smaller than the minimum allowed object size."],
  metadataTooLarge: [400, 10012, "Your metadata headers exceed the maximum allowed metadata size."],
  invalidObjectName: [400, 10020, "The specified object name is not valid."],
  invalidMaxKeys: [400, 10022, "MaxKeys params must be positive integer <= 1000."],
  noSuchUpload: [400, 10024, "The specified multipart upload does not exist."],
  invalidPart: [400, 10025, "One or more of the specified parts could not be found."],
  invalidArgument: [400, 10029, "Metadata missing or invalid"],
  preconditionFailed: [412, 10031, "At least one of the pre-conditions you specified did not hold."],
  badDigest: [400, 10037, "The checksum you specified did not match what we received."],
  invalidRange: [416, 10039, "The requested range is not satisfiable"],
  badUpload: [500, 10048, "There was a problem with the multipart upload."],
} as const satisfies Record<string, readonly [status: number, code: number, message: string]>;

export type R2ErrorName = keyof typeof ERRORS;

/** Why a request was refused. */
export interface Refusal {
  readonly name: R2ErrorName;
  /** Instead of the error's own words. */
  readonly message?: string;
  /** The object whose preconditions failed. */
  readonly object?: StoredObject;
}

/** The status and the value of the header in which workerd reads an error. */
export function encodeRefusal({ name, message }: Refusal): { status: number; header: string } {
  const [status, v4code, text] = ERRORS[name];
  return { status, header: JSON.stringify({ version: 1, v4code, message: message ?? text }) };
}

const SPELLED: Readonly<Record<Algorithm, string>> = {
  md5: "MD5",
  sha1: "SHA-1",
  sha256: "SHA-256",
  sha384: "SHA-384",
  sha512: "SHA-512",
};

/** @param given digest that the uploader gave, in hex. @param actual digest of what came, in hex */
export function badDigest(algorithm: Algorithm, given: string, actual: string): Refusal {
  const name = SPELLED[algorithm];
  const message = [
    `The ${name} checksum you specified did not match what we received.`,
    `You provided a ${name} checksum with value: ${given}`,
    `Actual ${name} was: ${actual}`,
  ].join("\n");
  return { name: "badDigest", message };
}
