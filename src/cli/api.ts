/** Calls the API of a running server. */
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { originOf } from "./config.ts";
import { DataDir, UsageError } from "./data.ts";

export interface Target {
  /** Origin of the control side. */
  readonly control: string;
  readonly accountId: string;
  readonly token: string;
  /** Path of the Unix socket at which the control side is reached; absent where that is `control`. */
  readonly socket?: string;
  /** Ends calls that wait for an answer. */
  readonly signal?: AbortSignal;
}

/** The server cannot be reached, or failed to answer: it may be starting, and the same call may succeed later. */
export class NoAnswer extends UsageError {}

/** The server to call: the one that variables name, else the one that runs on the data folder, else the default one. */
export function findTarget(dataDir: string, env: NodeJS.ProcessEnv = process.env): Target {
  const data = new DataDir(dataDir);
  const server = data.readServer();
  const token = env.SLUICE_API_TOKEN ?? data.readToken();
  if (token === undefined) {
    throw new UsageError(
      `No API token in ${data.path}. Start a server on this folder with npm start, or set SLUICE_API_TOKEN.`,
    );
  }
  const { SLUICE_HOST, SLUICE_CONTROL_PORT, SLUICE_ACCOUNT_ID } = env;
  const fromEnv = SLUICE_HOST !== undefined || SLUICE_CONTROL_PORT !== undefined;
  const control =
    !fromEnv && server !== undefined
      ? server.control
      : originOf(SLUICE_HOST ?? "127.0.0.1", Number(SLUICE_CONTROL_PORT ?? 8788));
  return { control, accountId: SLUICE_ACCOUNT_ID ?? server?.account_id ?? "sluice", token };
}

interface Envelope<T> {
  readonly success: boolean;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
  readonly result: T;
}

/** Calls the API and returns the result. Throws a `UsageError` with the server's message if it refuses. */
export async function call<T>(
  target: Target,
  method: string,
  path: string,
  body?: FormData | object,
): Promise<T> {
  const isForm = body instanceof FormData;
  const call: Call = {
    method,
    path: `/client/v4/accounts/${target.accountId}${path}`,
    headers: {
      Authorization: `Bearer ${target.token}`,
      // The audit trail says that the change came from the command line.
      "User-Agent": "sluice/cli",
      ...(body === undefined || isForm ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined || isForm ? body : JSON.stringify(body),
    ...(target.signal === undefined ? {} : { signal: target.signal }),
  };
  let reply: Reply<T>;
  try {
    reply = await (target.socket === undefined
      ? overPort(target.control, call)
      : overSocket(target.socket, call));
  } catch {
    throw new NoAnswer(`No server answers at ${target.control}. Start one with npm start.`);
  }
  const { status, envelope } = reply;
  if (envelope.success) return envelope.result;
  const why = envelope.errors.map(({ code, message }) => `${message} [code: ${code}]`).join("\n");
  throw status >= 500 ? new NoAnswer(why) : new UsageError(why);
}

interface Reply<T> {
  readonly status: number;
  readonly envelope: Envelope<T>;
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: FormData | string | undefined;
  readonly signal?: AbortSignal;
}

async function overPort<T>(control: string, { path, body, ...call }: Call): Promise<Reply<T>> {
  const response = await fetch(`${control}${path}`, { ...call, ...(body === undefined ? {} : { body }) });
  return { status: response.status, envelope: (await response.json()) as Envelope<T> };
}

/** Sends JSON only. */
function overSocket<T>(socketPath: string, { body, ...call }: Call): Promise<Reply<T>> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply<T>>();
  const outgoing = request({ socketPath, agent: false, ...call }, (response) => {
    const status = response.statusCode ?? 0;
    json(response).then((envelope) => resolve({ status, envelope: envelope as Envelope<T> }), reject);
  });
  outgoing.once("error", reject);
  outgoing.end(body);
  return promise;
}
