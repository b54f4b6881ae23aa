/** `…/queues`: the queues and their consumers, as wrangler speaks to them. */

import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import type { Resource } from "../../account/types.ts";
import { brokerOf } from "../../bindings/queue/broker.ts";
import { CONSUMER_DEFAULTS, type Consumer } from "../../bindings/queue/delivery.ts";
import { newId } from "../../lib/ids.ts";
import type { ControlContext } from "../context.ts";
import { failure, success, successOfPage } from "../envelope.ts";
import { queueName } from "../schemas.ts";

export const queueBody = z.looseObject({ queue_name: queueName });
export const consumerBody = z.looseObject({
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

export async function createQueue(c: ControlContext, body: z.output<typeof queueBody>): Promise<Response> {
  const id = newId();
  const created = await accountOf(c.env).create("queue", body.queue_name, id);
  return created.ok ? success(await show(c, created.value)) : failure(created.error);
}

export async function getQueue(c: ControlContext, queue: Resource): Promise<Response> {
  return success(await show(c, queue));
}

/** With every message in it. */
export async function deleteQueue(c: ControlContext, { id, name }: Resource): Promise<Response> {
  await brokerOf(c.env, name).clear(true);
  await accountOf(c.env).remove("queue", id);
  return success(null);
}

export async function purgeQueue(c: ControlContext, { name }: Resource): Promise<Response> {
  await brokerOf(c.env, name).clear(false);
  return success(null);
}

export async function listConsumers(c: ControlContext, queue: Resource): Promise<Response> {
  return success((await show(c, queue)).consumers);
}

type ConsumerBody = z.output<typeof consumerBody>;

export async function createConsumer(
  c: ControlContext,
  { name }: Resource,
  body: ConsumerBody,
): Promise<Response> {
  return success(await writeConsumer(c, name, newId(), body));
}

export async function updateConsumer(
  c: ControlContext,
  { name }: Resource,
  body: ConsumerBody,
): Promise<Response> {
  return success(await writeConsumer(c, name, c.req.param("consumer") ?? "", body));
}

export async function deleteConsumer(c: ControlContext, { name }: Resource): Promise<Response> {
  await brokerOf(c.env, name).setConsumer(name, null);
  return success(null);
}

async function writeConsumer(
  c: ControlContext,
  queue: string,
  id: string,
  { script_name, dead_letter_queue, settings }: ConsumerBody,
): Promise<Record<string, unknown>> {
  const consumer: Consumer = {
    id,
    worker: script_name,
    batch_size: settings?.batch_size ?? CONSUMER_DEFAULTS.batch_size,
    max_wait_ms: settings?.max_wait_time_ms ?? CONSUMER_DEFAULTS.max_wait_ms,
    max_retries: settings?.max_retries ?? CONSUMER_DEFAULTS.max_retries,
    retry_delay: settings?.retry_delay ?? CONSUMER_DEFAULTS.retry_delay,
    dead_letter_queue: dead_letter_queue ?? CONSUMER_DEFAULTS.dead_letter_queue,
  };
  await brokerOf(c.env, queue).setConsumer(queue, consumer);
  return showConsumer(queue, consumer);
}
