// Every page and every action once, in a real browser, over a running cluster.
//
//   node ground.mjs ADDRESS engine|real
//
// ADDRESS is a server that watches a cluster with simulated nodes; an agent
// carries out what it commits. On `real` the pages are looked at; on `engine`
// everything is done as well.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [address, ground] = process.argv.slice(2);
assert.ok(address && ground, "usage: node ground.mjs ADDRESS engine|real");
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const patience = 120_000;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  timeout: patience,
});
let passed = 0;
let failed = 0;

async function fact(words, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok ${words}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${words}\n  ${String(error.message).replaceAll("\n", "\n  ")}`);
  }
}

const context = await browser.newContext({ baseURL: address, viewport: { width: 1360, height: 860 }, bypassCSP: true });
context.setDefaultTimeout(patience);
const page = await context.newPage();
const strange = [];
page.on("request", (request) => { if (!request.url().startsWith(address) && !request.url().startsWith("data:")) strange.push(request.url()); });
page.on("pageerror", (error) => strange.push(String(error)));
page.on("response", (response) => { if (response.status() >= 500) strange.push(`${response.status()} ${response.url()}`); });

async function findings() {
  await page.addScriptTag({ path: axe });
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations.filter((found) => found.impact === "serious" || found.impact === "critical").map((found) => found.id);
}

// Opens a preview, answers what it asks, confirms, and follows the result to its end.
async function act(path, verb, { typed, reason, shows, until } = {}) {
  await page.goto(path);
  await page.waitForFunction(() => document.activeElement.id === "cancel");
  if (shows) await page.locator("#preview").getByText(shows).first().waitFor();
  if (reason) await page.locator("input[name=reason]").fill(reason);
  if (typed) await page.locator("input[name=typed]").fill(typed);
  await page.locator("form.confirm").getByRole("button", { name: verb, exact: true }).click();
  await page.waitForURL("**/done/*");
  await page.getByText(until || /^Done/).first().waitFor();
  assert.equal(await page.getByText("Failed", { exact: true }).count(), 0, await page.locator("#job").innerText());
}

const undo = async () => page.locator("#job a[data-ask]").getAttribute("href");

await page.goto("/services");
await page.getByText("2/2").first().waitFor();
const pod = await (async () => {
  await page.goto("/pods?service=web");
  const link = page.locator("tbody th a").first();
  await link.waitFor();
  return link.getAttribute("href");
})();
const node = await (async () => {
  await page.goto("/nodes");
  const link = page.locator("tbody th a").first();
  await link.waitFor();
  return link.innerText();
})();

const pages = ["/", "/services", "/services/web", "/releases", "/releases/dev/web", "/pods", pod, "/nodes", "/events", "/checks", "/loads",
  "/logs?service=web&environment=dev", "/audit", "/search?q=web", "/help"];
for (const path of pages) {
  await fact(`${path.split("?")[0].replace(pod, "a pod's page")} shows the cluster without a serious finding`, async () => {
    await page.goto(path);
    assert.deepEqual(await findings(), []);
    await page.getByText(/: live$/).first().waitFor();
  });
}

if (ground === "engine") {
  const dev = "environment=dev&service=web";
  const prod = "environment=prod&service=web";
  await fact("one pod more, and back", async () => {
    await act(`/act/scale?${dev}&workload=web&replicas=3`, "Scale", { shows: "operations.yaml", until: "3 of 3 pods are ready" });
    await act(await undo(), "Scale", { until: "2 of 2 pods are ready" });
  });
  await fact("a service restarts", () => act(`/act/restart?${dev}`, "Restart", { shows: "replaced by a new one" }));
  await fact("a pod leaves and another comes", async () => {
    await page.goto("/pods?service=web&environment=dev");
    await page.getByRole("link", { name: /^Restart / }).first().click();
    const dialog = page.getByRole("dialog", { name: "Preview" });
    await dialog.getByRole("button", { name: "Restart" }).click();
    await page.waitForURL("**/done/*");
    await page.getByText(/^Done/).first().waitFor();
  });
  await fact("a node is cordoned, and open again", async () => {
    await act(`/act/cordon?site=local&node=${node}`, "Cordon", { reason: "new disk" });
    await act(await undo(), "Uncordon");
  });
  await fact("a node is drained after its name was typed, and open again", async () => {
    await act(`/act/drain?site=local&node=${node}`, "Drain", { typed: node, shows: "pods leave it" });
    await act(await undo(), "Uncordon");
  });
  await fact("a promotion to production waits for somebody else", () => act(`/act/promote?${prod}`, "Promote", { typed: "web", reason: "tested", until: "waits for approval" }));
  await fact("what somebody else asked for is agreed to", async () => {
    // The other person asked for this service before the run began.
    await page.goto("/releases");
    const request = await page.locator("a[href*='/act/approve'][href*='api-']").first().getAttribute("href");
    await act(request, "Approve", { typed: "api", until: "healthy everywhere" });
  });
  await fact("a hold is set and lifted", async () => {
    await act(`/act/hold?${dev}`, "Hold", { reason: "campaign week" });
    await page.goto("/releases");
    await page.getByText("campaign week").first().waitFor();
    await act(`/act/lift?${dev}`, "Lift");
  });
  await fact("the audit page names who did it", async () => {
    await page.goto("/audit");
    for (const words of ["scale web", "restart web", "restart-pod", "cordon node", "drain node", "promote web", "approve request", "hold web", "lift web"])
      await page.getByText(words).first().waitFor();
  });
}
await fact("nothing was asked of anybody else, no page broke and no answer failed", async () => assert.deepEqual(strange, []));
console.log(`test result: ${failed ? "FAILED" : "ok"}. ${passed} passed; ${failed} failed; 0 ignored`);
process.exitCode = failed ? 1 : 0;
await browser.close();
