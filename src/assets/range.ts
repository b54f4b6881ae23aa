/** Requests for a part of a file (RFC 9110, 14). Pure. */
import parseRange from "range-parser";

/**
 * The part of a file that a request asks for, or the whole response: without a range, with several ranges, or if the
 * client has another state of the file (`If-Range`).
 *
 * @param response with the whole file; its body is consumed unless it is returned
 * @param size of the file in bytes
 */
export async function withRange(request: Request, response: Response, size: number): Promise<Response> {
  const asked = request.method === "GET" ? request.headers.get("Range") : null;
  const condition = request.headers.get("If-Range");
  if (asked === null || (condition !== null && condition !== response.headers.get("ETag"))) return response;
  const ranges = parseRange(size, asked, { combine: true });
  if (ranges === -1) {
    await response.body?.cancel();
    const headers = { "Content-Range": `bytes */${size}`, "Cache-Control": "no-store" };
    return new Response(null, { status: 416, headers });
  }
  const [range] = ranges === -2 ? [] : ranges;
  if (ranges === -2 || ranges.type !== "bytes" || ranges.length !== 1 || range === undefined) return response;
  const headers = new Headers(response.headers);
  headers.set("Content-Range", `bytes ${range.start}-${range.end}/${size}`);
  const whole = await response.arrayBuffer();
  return new Response(whole.slice(range.start, range.end + 1), { status: 206, headers });
}
