/**
 * How a request goes from one process to another, as headers. Only processes of the server may set them: what clients and
 * versions send under these names is removed wherever it would be read. An answer that opens a WebSocket has none of them.
 */
import { readError, writeError } from "./thrown.ts";

/** Says which binding a request is for. */
export const BINDING_HEADER = "sluice-binding";

/** Names the isolate that is to serve the request. Clients' own are replaced. */
export const LANE_HEADER = "sluice-lane";

/** In an answer: the version threw this. HTTP has no other place for an exception. */
export const THROWN_HEADER = "sluice-thrown";

/** In an answer: the isolate cannot be loaded, for this reason. */
export const UNLOADABLE_HEADER = "sluice-unloadable";

/** In an answer: how long the version took, in ms. */
export const ELAPSED_HEADER = "sluice-elapsed";

/** What processes say in their answers. */
const IN_ANSWERS = [THROWN_HEADER, UNLOADABLE_HEADER, ELAPSED_HEADER] as const;

/** A version's own answer, without what only processes may say. */
export function ownAnswer(response: Response): Response {
  if (response.status === 101 || !IN_ANSWERS.some((name) => response.headers.has(name))) return response;
  const answer = new Response(response.body, response);
  for (const name of IN_ANSWERS) answer.headers.delete(name);
  return answer;
}

/** What the other process is asked. */
export interface LaneCall {
  readonly worker: string;
  /** Name of the isolate. */
  readonly instance: string;
  /** Whether only this request asks for the isolate, and not its deployment. */
  readonly isVisit: boolean;
  /** Whether to load the isolate and answer without a request to it. */
  readonly onlyLoad: boolean;
}

export function writeCall({ worker, instance, isVisit, onlyLoad }: LaneCall): string {
  return [worker, instance, Number(isVisit), Number(onlyLoad)].join(" ");
}

export function readCall(text: string): LaneCall {
  const [worker = "", instance = "", isVisit, onlyLoad] = text.split(" ");
  return { worker, instance, isVisit: isVisit === "1", onlyLoad: onlyLoad === "1" };
}

/** Why an isolate cannot be loaded. */
export interface Unloadable {
  readonly why: string;
  /** Whether its version is to blame. */
  readonly isItsFault: boolean;
}

export function writeUnloadable({ why, isItsFault }: Unloadable): string {
  return `${Number(isItsFault)} ${writeError(why)}`;
}

export function readUnloadable(text: string): Unloadable {
  const [isItsFault, why = ""] = text.split(" ");
  return { why: readError(why).message, isItsFault: isItsFault === "1" };
}
