/** `…/queues`: the queues and their consumers, as wrangler speaks to them. */

import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import type { Resource } from "../../account/types.ts";
import { brokerOf } from "../../bindings/queue/broker.ts";
import { CONSUMER_DEFAULTS, type Consumer } from "../../bindings/queue/delivery.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { type ControlContext, findResource, readBody } from "../context.ts";
import { failure, respond, success, successOfPage } from "../envelope.ts";
import { queueName } from "../schemas.ts";

const queueBody = z.looseObject({ queue_name: queueName });
const consumerBody = z.looseObject({
  type: z.literal("worker", { error: "only consumers of type worker are supported" }),
  script_name: z.string().min(1),
  dead_letter_queue: z.string().nullish(),
  settings: z
    .looseObject({
      batch_size: z.number().int().min(1).max(100).nullish(),
      max_retries: z.number().int().min(0).max(100).nullish(),
      max_wait_time_ms: z.number().int().min(0).max(60_000).nullish(),
      retry_delay: z.number().int().min(0).max(86_400).nullish(),
    })
    .nullish(),
});

const idOf = (c: ControlContext) => c.req.param("queue") ?? "";

function find(c: ControlContext): Promise<Result<Resource, SluiceError>> {
  return findResource(c, "queue", idOf(c));
}

function showConsumer(queue: string, consumer: Consumer): Record<string, unknown> {
  return {
    consumer_id: consumer.id,
    queue_name: queue,
    type: "worker",
    script: consumer.worker,
    dead_letter_queue: consumer.dead_letter_queue,
    settings: {
      batch_size: consumer.batch_size,
      max_retries: consumer.max_retries,
      max_wait_time_ms: consumer.max_wait_ms,
      retry_delay: consumer.retry_delay,
    },
  };
}

async function show(c: ControlContext, { id, name, created_on }: Resource): Promise<Record<string, unknown>> {
  const consumer = await brokerOf(c.env, name).consumer();
  const consumers = consumer === undefined ? [] : [showConsumer(name, consumer)];
  return {
    queue_id: id,
    queue_name: name,
    created_on,
    modified_on: created_on,
    producers: [],
    producers_total_count: 0,
    consumers,
    consumers_total_count: consumers.length,
    settings: { delivery_delay: 0, delivery_paused: false, message_retention_period: 345_600 },
  };
}

export async function listQueues(c: ControlContext): Promise<Response> {
  const all = await accountOf(c.env).list("queue");
  const wanted = c.req.queries("name") ?? [];
  const found = wanted.length === 0 ? all : all.filter(({ name }) => wanted.includes(name));
  const shown = await Promise.all(found.map((queue) => show(c, queue)));
  return successOfPage(shown, c.req.query("page"), c.req.query("per_page"));
}

export async function createQueue(c: ControlContext): Promise<Response> {
  const body = await readBody(c, queueBody);
  if (!body.ok) return failure(body.error);
  const id = newId();
  const created = (await accountOf(c.env).create("queue", body.value.queue_name, id)) as Result<
    Resource,
    SluiceError
  >;
  return created.ok ? success(await show(c, created.value)) : failure(created.error);
}

export async function getQueue(c: ControlContext): Promise<Response> {
  const found = await find(c);
  return found.ok ? success(await show(c, found.value)) : failure(found.error);
}

/** With every message in it. */
export async function deleteQueue(c: ControlContext): Promise<Response> {
  const found = await find(c);
  if (!found.ok) return failure(found.error);
  await brokerOf(c.env, found.value.name).clear(true);
  await accountOf(c.env).remove("queue", found.value.id);
  return success(null);
}

export async function purgeQueue(c: ControlContext): Promise<Response> {
  const found = await find(c);
  if (!found.ok) return failure(found.error);
  await brokerOf(c.env, found.value.name).clear(false);
  return success(null);
}

export async function listConsumers(c: ControlContext): Promise<Response> {
  const found = await find(c);
  if (!found.ok) return failure(found.error);
  return success((await show(c, found.value)).consumers);
}

/** POST: a queue has one consumer at most. */
export async function createConsumer(c: ControlContext): Promise<Response> {
  const found = await find(c);
  if (!found.ok) return failure(found.error);
  const present = await brokerOf(c.env, found.value.name).consumer();
  if (present !== undefined) {
    return failure({ reason: "consumer-exists", queue: found.value.name, worker: present.worker });
  }
  return respond(await writeConsumer(c, found.value, newId()), (shown) => shown);
}

export async function updateConsumer(c: ControlContext): Promise<Response> {
  const present = await findConsumer(c);
  if (!present.ok) return failure(present.error);
  const { queue, consumer } = present.value;
  return respond(await writeConsumer(c, queue, consumer.id), (shown) => shown);
}

export async function deleteConsumer(c: ControlContext): Promise<Response> {
  const present = await findConsumer(c);
  if (!present.ok) return failure(present.error);
  const { name } = present.value.queue;
  await brokerOf(c.env, name).setConsumer(name, null);
  return success(null);
}

async function findConsumer(
  c: ControlContext,
): Promise<Result<{ readonly queue: Resource; readonly consumer: Consumer }, SluiceError>> {
  const found = await find(c);
  if (!found.ok) return found;
  const consumer = await brokerOf(c.env, found.value.name).consumer();
  const id = c.req.param("consumer") ?? "";
  if (consumer?.id !== id)
    return err({ reason: "consumer-not-found", queue: found.value.name, consumer: id });
  return ok({ queue: found.value, consumer });
}

async function writeConsumer(
  c: ControlContext,
  queue: Resource,
  id: string,
): Promise<Result<Record<string, unknown>, SluiceError>> {
  const body = await readBody(c, consumerBody);
  if (!body.ok) return body;
  const { script_name, dead_letter_queue, settings } = body.value;
  const consumer: Consumer = {
    id,
    worker: script_name,
    batch_size: settings?.batch_size ?? CONSUMER_DEFAULTS.batch_size,
    max_wait_ms: settings?.max_wait_time_ms ?? CONSUMER_DEFAULTS.max_wait_ms,
    max_retries: settings?.max_retries ?? CONSUMER_DEFAULTS.max_retries,
    retry_delay: settings?.retry_delay ?? CONSUMER_DEFAULTS.retry_delay,
    dead_letter_queue: dead_letter_queue ?? CONSUMER_DEFAULTS.dead_letter_queue,
  };
  await brokerOf(c.env, queue.name).setConsumer(queue.name, consumer);
  return ok(showConsumer(queue.name, consumer));
}
