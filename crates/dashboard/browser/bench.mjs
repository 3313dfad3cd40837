// What a browser sees of a large cluster that changes all the time.
//
//   node bench.mjs ADDRESS SECONDS
//
// Somebody else writes the time of day, as `m<milliseconds>`, into a pod called
// `marker`. Prints one line of JSON: paints and pixels in milliseconds, heap in
// MiB over SECONDS, serious findings of axe.
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [address, seconds] = process.argv.slice(2);
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const patience = 120_000;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  timeout: patience,
});
const opened = async (options) => {
  const context = await browser.newContext({ baseURL: address, viewport: { width: 1360, height: 860 }, ...options });
  context.setDefaultTimeout(patience);
  return context;
};

const paints = [];
for (let round = 0; round < 20; round += 1) {
  const context = await opened();
  const page = await context.newPage();
  await page.goto("/pods", { waitUntil: "domcontentloaded" });
  const paint = await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  paints.push(await paint.jsonValue());
  await context.close();
}

let findings = 0;
for (const colorScheme of ["light", "dark"]) {
  const context = await opened({ colorScheme, bypassCSP: true });
  const page = await context.newPage();
  for (const path of ["/", "/services", "/releases", "/pods", "/nodes", "/events", "/checks", "/audit"]) {
    await page.goto(path);
    await page.addScriptTag({ path: axe });
    const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const serious = result.violations.filter((found) => found.impact === "serious" || found.impact === "critical");
    for (const found of serious) console.error(`${path} ${colorScheme}: ${found.id}: ${found.nodes[0].html.slice(0, 200)}`);
    findings += serious.length;
  }
  await context.close();
}

// Two tabs: one looks for the marker, one shows a hundred rows that change.
const context = await opened();
const pixels = [];
const watching = await context.newPage();
await watching.exposeFunction("seen", (written, at) => pixels.push(at - written));
await watching.goto("/pods?q=marker");
await watching.evaluate(() => {
  let last = "";
  new MutationObserver(() => {
    const found = /m(\d{13})/.exec(document.querySelector("#rows").innerHTML);
    if (!found || found[1] === last) return;
    last = found[1];
    // The frame after the next has it on the screen.
    requestAnimationFrame(() => requestAnimationFrame(() => window.seen(Number(found[1]), Date.now())));
  }).observe(document.querySelector("#rows"), { subtree: true, childList: true, attributes: true });
});
const rows = await context.newPage();
await rows.goto("/pods?q=churn");
const session = await context.newCDPSession(rows);
const heaps = [];
const end = Date.now() + Number(seconds) * 1000;
const pause = Math.max(5_000, Number(seconds) * 1000 / 20);
while (Date.now() < end) {
  await new Promise((resolve) => setTimeout(resolve, Math.min(pause, Math.max(0, end - Date.now()))));
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  heaps.push(usedSize / 1048576);
}
console.log(JSON.stringify({ paints, pixels, heaps, findings }));
await browser.close();
