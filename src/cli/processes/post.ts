/** Asks a process over its Unix socket. */
import { request } from "node:http";
import { json } from "node:stream/consumers";

export interface Posted<Reply> {
  readonly status: number | undefined;
  readonly reply: Reply;
}

/**
 * Sends a POST and reads the answer as JSON. Rejects if the connection breaks or the answer is no JSON. It may wait for
 * ever: the end of the process closes the connection.
 *
 * @param host names the service in the process's log
 */
export function post<Reply>(socketPath: string, host: string, body: Buffer | string): Promise<Posted<Reply>> {
  const { promise, resolve, reject } = Promise.withResolvers<Posted<Reply>>();
  const outgoing = request({ socketPath, method: "POST", path: "/", headers: { Host: host }, agent: false });
  outgoing.once("error", reject);
  outgoing.once("response", (response) =>
    json(response).then((reply) => resolve({ status: response.statusCode, reply: reply as Reply }), reject),
  );
  outgoing.end(body);
  return promise;
}
