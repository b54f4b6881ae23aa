/** Calls the API of a running server. */
import { originOf } from "./config.ts";
import { DataDir, UsageError } from "./data.ts";

export interface Target {
  /** Origin of the control side. */
  readonly control: string;
  readonly accountId: string;
  readonly token: string;
}

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
  { control, accountId, token }: Target,
  method: string,
  path: string,
  body?: FormData | object,
): Promise<T> {
  const isForm = body instanceof FormData;
  let response: Response;
  try {
    response = await fetch(`${control}/client/v4/accounts/${accountId}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined || isForm ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
    });
  } catch {
    throw new UsageError(`No server answers at ${control}. Start one with npm start.`);
  }
  const envelope = (await response.json()) as Envelope<T>;
  if (envelope.success) return envelope.result;
  throw new UsageError(envelope.errors.map(({ code, message }) => `${message} [code: ${code}]`).join("\n"));
}
