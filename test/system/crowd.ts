/** End users of a Worker, who come once in a while. */
import { Agent, request } from "node:http";
import type { Server } from "../support/server.ts";

interface CrowdOptions {
  /** Between the requests of each of the four lanes, in ms. */
  readonly pauseMs?: number;
  /** Number of users; further requests are of the same ones. Default: each request is of a new one. */
  readonly users?: number;
  readonly method?: string;
  /** Headers of each request, read when it is made. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ms after which a user goes away without an answer. */
  readonly patienceMs?: number;
  /** How many users come at the same time. */
  readonly lanes?: number;
}

interface Answer {
  readonly key: string;
  /** 0 for no answer, or one that broke off. */
  readonly status: number;
  readonly body: string;
}

export class Crowd {
  readonly answers: Answer[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  readonly #lanes: Promise<void>[];
  readonly #options: CrowdOptions;
  #done = false;
  #next = 0;

  constructor(at: Server, worker: string, options: CrowdOptions = {}) {
    const { pauseMs = 4, users = Number.POSITIVE_INFINITY, lanes = 4 } = options;
    this.#options = options;
    const lane = async () => {
      while (!this.#done) {
        await this.#ask(at, worker, `user-${this.#next++ % users}`);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    };
    this.#lanes = Array.from({ length: lanes }, lane);
  }

  async leave(): Promise<void> {
    this.#done = true;
    await Promise.all(this.#lanes);
    this.#agent.destroy();
  }

  #ask(at: Server, worker: string, key: string): Promise<void> {
    const { method = "GET", headers = {}, patienceMs = 20_000 } = this.#options;
    return new Promise((resolve) => {
      let [status, body] = [0, ""];
      const end = () => {
        this.answers.push({ key, status, body });
        resolve();
      };
      const outgoing = request(
        {
          port: at.trafficPort,
          host: "127.0.0.1",
          agent: this.#agent,
          method,
          timeout: patienceMs,
          headers: { ...headers, Host: `${worker}.localhost`, "Cloudflare-Workers-Version-Key": key },
        },
        (response) => {
          response.on("data", (chunk) => {
            body += chunk;
          });
          response.on("end", () => {
            status = response.statusCode ?? 0;
            end();
          });
          response.on("error", end);
        },
      );
      outgoing.on("timeout", () => outgoing.destroy());
      outgoing.on("error", end);
      outgoing.end();
    });
  }
}
