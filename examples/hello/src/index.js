// The first start deploys this Worker twice: with COLOR "blue" and with COLOR "green".
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const wantsPage = request.headers.get("Accept")?.includes("text/html");
    if (pathname === "/" && wantsPage) {
      return new Response(page, { headers: { "Content-Type": "text/html; charset=utf-8" } });
    }
    return new Response(`Hello from ${env.COLOR}, version ${env.VERSION.id.slice(0, 8)}\n`);
  },
};

// Sends one request for each of 1,000 visitors, each with its own key, and shows which version answered.
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>1,000 visitors, two versions</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 3rem auto; padding: 0 1rem; color: #1c2430; }
  #crowd { display: grid; grid-template-columns: repeat(50, 1fr); gap: 3px; margin: 1.5rem 0; }
  #crowd i { aspect-ratio: 1; border-radius: 50%; background: #e3e7ec; }
  #crowd .blue { background: #2f6fdb; }
  #crowd .green { background: #12a05c; }
  output { font-variant-numeric: tabular-nums; }
</style>
<h1>1,000 visitors, two versions</h1>
<p>Each dot is a visitor whose request carried a key of its own. Reload: the same visitors see the same version.</p>
<div id="crowd" role="img" aria-label="Visitors by the version that answered them"></div>
<p><output id="observed">Asking…</output></p>
<script type="module">
  const crowd = document.getElementById("crowd");
  const dots = Array.from({ length: 1000 }, () => crowd.appendChild(document.createElement("i")));
  const seen = {};
  let next = 0;
  async function ask() {
    while (next < dots.length) {
      const visitor = next++;
      const response = await fetch("/who", { headers: { "Cloudflare-Workers-Version-Key": "visitor-" + visitor } });
      const color = /from (\\w+)/.exec(await response.text())?.[1] ?? "nobody";
      dots[visitor].className = color;
      seen[color] = (seen[color] ?? 0) + 1;
      document.getElementById("observed").textContent = Object.entries(seen).sort()
        .map(([name, count]) => name + ": " + count + " visitors, " + (count / 10).toFixed(1) + "%").join(" · ");
    }
  }
  await Promise.all(Array.from({ length: 6 }, ask));
  document.body.dataset.done = "yes";
</script>
`;
