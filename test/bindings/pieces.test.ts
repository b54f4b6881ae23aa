import fc from "fast-check";
import { expect, test } from "vitest";
import { inPieces } from "../../src/bindings/r2/pieces.ts";

/** A stream of these bytes in chunks of these sizes. */
const streamOf = (chunks: readonly Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

test("a stream keeps its bytes, and all pieces but the last have the same size", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(chunks, fc.integer({ min: 1, max: 16 }), async (given, size) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of inPieces(streamOf(given), size)) pieces.push(piece);
      expect(pieces.flatMap((piece) => [...piece])).toEqual(given.flatMap((chunk) => [...chunk]));
      for (const piece of pieces.slice(0, -1)) expect(piece).toHaveLength(size);
      const last = pieces.at(-1);
      if (last !== undefined) expect(last.length).toBeGreaterThan(0);
    }),
  );
});
