/** A small HTTP/1.1 client whose connections stay open between slices, so that slices can be short. */
import { connect, type Socket } from "node:net";
import { keysOf } from "./input.ts";

export interface Slice {
  readonly requests: number;
  readonly seconds: number;
  /** Milliseconds from the write of each request to the last byte of its response. */
  readonly latencies: readonly number[];
}

/** Keep-alive connections to one server. Each has one request at a time, and every request has another key. */
export class Client {
  readonly #sockets: Socket[] = [];
  readonly #requests: Buffer[];

  private constructor(requests: Buffer[]) {
    this.#requests = requests;
  }

  static async open(url: string, connections: number): Promise<Client> {
    const { hostname, port, host, pathname } = new URL(url);
    const client = new Client(
      keysOf(36).map((key) =>
        Buffer.from(
          `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nCloudflare-Workers-Version-Key: ${key}\r\n\r\n`,
        ),
      ),
    );
    for (let i = 0; i < connections; i++)
      client.#sockets.push(await open(isLocal(hostname) ? "127.0.0.1" : hostname, Number(port)));
    return client;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Keeps every connection busy for this long, then waits for the outstanding answers. */
  async load(seconds: number): Promise<Slice> {
    const latencies: number[] = [];
    const started = performance.now();
    const end = started + seconds * 1000;
    let next = 0;
    const drive = (socket: Socket) =>
      new Promise<void>((resolve, reject) => {
        if (socket.destroyed) return reject(new Error("the server closed an idle connection"));
        let sent = 0;
        let received = "";
        const send = () => {
          sent = performance.now();
          received = "";
          socket.write(this.#requests[next++ % this.#requests.length] as Buffer);
        };
        const stop = (settle: () => void) => {
          socket.removeAllListeners("data");
          socket.removeAllListeners("error");
          socket.removeAllListeners("close");
          settle();
        };
        socket.on("error", (error) => stop(() => reject(error)));
        socket.on("close", () => stop(() => reject(new Error("the server closed the connection"))));
        socket.on("data", (chunk: Buffer) => {
          received += chunk.toString("latin1");
          if (!isWhole(received)) return;
          const now = performance.now();
          latencies.push(now - sent);
          if (!received.startsWith("HTTP/1.1 200")) stop(() => reject(new Error(received)));
          else if (now >= end) stop(resolve);
          else send();
        });
        send();
      });
    await Promise.all(this.#sockets.map(drive));
    return { requests: latencies.length, seconds: (performance.now() - started) / 1000, latencies };
  }
}

function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.removeListener("error", reject);
      resolve(socket);
    });
  });
}

/** The measured answers are small. Each has a Content-Length, or ends with the last chunk. */
function isWhole(response: string): boolean {
  const head = response.indexOf("\r\n\r\n");
  if (head === -1) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(response);
  if (length === null) return response.endsWith("\r\n0\r\n\r\n");
  return response.length >= head + 4 + Number(length[1]);
}

/** An address that needs no name lookup. */
function isLocal(hostname: string): boolean {
  return hostname.endsWith(".localhost");
}
