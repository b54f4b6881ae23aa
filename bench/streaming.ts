/** A client of workers/streaming.ts, for one contender. */
import { once } from "node:events";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import { keysOf } from "./input.ts";

/** All requests have the same key, since a signal must reach the version that holds the stream. */
const [KEY] = keysOf(36) as [string];
const HEADER = "Cloudflare-Workers-Version-Key";

export class Streaming {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(url: string) {
    this.#url = url;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** The complete answer to a request without a body. */
  async get(path: string): Promise<string> {
    const response = await this.open(path);
    response.setEncoding("utf8");
    let text = "";
    for await (const part of response) text += part;
    return text;
  }

  /** An answer whose body has not been read. */
  open(path: string): Promise<IncomingMessage> {
    const outgoing = this.#send("GET", path);
    outgoing.end();
    return answerOf(outgoing);
  }

  /** Starts an upload. Its answer may come before the upload has ended. */
  upload(path: string): { readonly body: ClientRequest; readonly answer: Promise<IncomingMessage> } {
    const body = this.#send("POST", path);
    const answer = answerOf(body);
    // It may fail before the caller awaits it, which must not end the process.
    answer.catch(() => {});
    return { body, answer };
  }

  #send(method: string, path: string): ClientRequest {
    return request(new URL(path, this.#url), { method, agent: this.#agent, headers: { [HEADER]: KEY } });
  }

  async echo(): Promise<Echo> {
    const { hostname, port, host } = new URL(this.#url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    const lines = [
      "GET /echo HTTP/1.1",
      `Host: ${host}`,
      `${HEADER}: ${KEY}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    const [head] = (await once(socket, "data")) as [Buffer];
    if (!head.toString("latin1").startsWith("HTTP/1.1 101 ")) throw new Error(`no WebSocket: ${head}`);
    return new Echo(socket);
  }
}

/** A WebSocket to an echo. It writes frames itself, so that the client costs little compared with the servers. */
export class Echo {
  readonly #socket: Socket;
  readonly #sent: Buffer;
  readonly #expected: Buffer;

  constructor(socket: Socket) {
    this.#socket = socket;
    const message = Buffer.from("a message of thirty-two letters.");
    // A final text frame. Clients must mask it; a mask of zeros does not change the text.
    this.#sent = Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), message]);
    this.#expected = Buffer.concat([Buffer.from([0x81, message.length]), message]);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends one message after the other until the deadline. @returns how many came back */
  async run(until: number): Promise<number> {
    const socket = this.#socket;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let received: Buffer = Buffer.alloc(0);
    let messages = 0;
    const onData = (data: Buffer) => {
      received = received.length === 0 ? data : Buffer.concat([received, data]);
      if (received.length < this.#expected.length) return;
      if (!received.equals(this.#expected))
        return reject(new Error(`echoed: ${received.toString("latin1")}`));
      received = Buffer.alloc(0);
      messages++;
      if (performance.now() >= until) resolve();
      else socket.write(this.#sent);
    };
    const onClose = () => reject(new Error("the WebSocket was closed"));
    socket.on("data", onData).once("close", onClose);
    try {
      socket.write(this.#sent);
      await promise;
      return messages;
    } finally {
      socket.off("data", onData).off("close", onClose);
    }
  }
}

async function answerOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`${outgoing.path} answers ${response.statusCode}`);
  return response;
}
