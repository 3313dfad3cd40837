// The pages in a real browser: accessibility in both colours, keys, dialogs, no scripts, a phone.
//
//   node run.mjs PROGRAM [--screenshots FOLDER]
//
// PROGRAM serves the pages and says on its first line their address, and one where a login is asked for.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { mkdirSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [program, flag, folder] = process.argv.slice(2);
assert.ok(program, "usage: node run.mjs PROGRAM [--screenshots FOLDER]");
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const patience = 120_000;
const pages = {
  overview: "/", services: "/services", service: "/services/fraud", releases: "/releases", history: "/releases/prod/orders", pods: "/pods",
  nodes: "/nodes", events: "/events", checks: "/checks", logs: "/logs?service=orders&environment=prod", audit: "/audit", search: "/search?q=pay",
  help: "/help", preview: "/act/promote?environment=prod&service=basket", drain: "/act/drain?node=node-1&site=local",
};

const served = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
const [address, asking] = await new Promise((resolve, reject) => {
  createInterface({ input: served.stdout }).once("line", (line) => resolve(line.split(" ")));
  served.once("exit", (code) => reject(new Error(`the pages ended with ${code}`)));
});
pages.login = `${asking}/login`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  timeout: patience,
});
let passed = 0;
let failed = 0;

async function context(options) {
  const made = await browser.newContext({ baseURL: address, viewport: { width: 1360, height: 860 }, ...options });
  made.setDefaultTimeout(patience);
  return made;
}

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

async function filled(page) {
  await page.goto("/");
  await page.getByText("local: live").waitFor();
  await page.getByText("things are broken").waitFor();
}

async function findings(page) {
  await page.addScriptTag({ path: axe });
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations
    .filter((found) => found.impact === "serious" || found.impact === "critical")
    .map((found) => `${found.id}: ${found.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
}

async function picture(page, name) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 70 });
  writeFileSync(`${folder}/${name}.webp`, Buffer.from(data, "base64"));
  await session.detach();
}

async function looks() {
  for (const colorScheme of ["light", "dark"]) {
    const own = await context({ colorScheme, bypassCSP: true });
    const page = await own.newPage();
    await filled(page);
    for (const [name, path] of Object.entries(pages)) {
      await fact(`${name} has no serious finding in ${colorScheme}`, async () => {
        await page.goto(path);
        if (flag) await picture(page, `${name}-${colorScheme}`);
        assert.deepEqual(await findings(page), []);
      });
    }
    await own.close();
  }
}

async function phone() {
  const own = await context({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 1 });
  const page = await own.newPage();
  for (const [name, path] of Object.entries(pages)) {
    await fact(`${name} fits a phone`, async () => {
      await page.goto(path);
      if (flag) await picture(page, `${name}-phone`);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= 391, `${name} is ${width} wide`);
    });
  }
  await own.close();
}

async function plain() {
  const own = await context({ javaScriptEnabled: false });
  const page = await own.newPage();
  await fact("without scripts a list is filtered and a node is cordoned", async () => {
    await page.goto("/nodes");
    await page.locator("#filter").fill("node-2");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.getByRole("link", { name: "Cordon node-2", exact: true }).click();
    await page.locator("input[name=reason]").fill("new disk");
    await page.getByRole("button", { name: "Cordon" }).click();
    assert.match(page.url(), /\/done\//);
    for (let tries = 0; tries < 200 && !(await page.getByText("takes no new pods").count()); tries += 1) await page.reload();
    assert.equal(await page.getByText("takes no new pods").count(), 1);
    assert.equal(await page.getByRole("link", { name: "Uncordon" }).count(), 1);
  });
  await own.close();
}

async function scripted() {
  const own = await context();
  const page = await own.newPage();
  const strange = [];
  page.on("request", (request) => { if (!request.url().startsWith(address) && !request.url().startsWith("data:")) strange.push(request.url()); });
  page.on("pageerror", (error) => strange.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error" && /Content Security Policy/.test(message.text())) strange.push(message.text()); });
  await filled(page);
  await fact("keys lead to pages", async () => {
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.waitForURL("**/pods");
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "filter");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.waitForURL("**/help");
  });
  await fact("the palette finds a service", async () => {
    await page.keyboard.press("Control+k");
    await page.keyboard.type("basket");
    await page.getByRole("option", { name: /service basket/ }).waitFor();
    await page.getByRole("option", { name: /service basket/ }).click();
    await page.waitForURL("**/services/basket");
  });
  await fact("a preview opens over the page with the focus on Cancel, and Cancel changes nothing", async () => {
    await page.goto("/nodes");
    await page.getByRole("link", { name: "Cordon node-1", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Preview" });
    await dialog.getByText("No new pods are put on the node").waitFor();
    await page.waitForFunction(() => document.activeElement.id === "cancel");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "hidden" });
    assert.match(page.url(), /\/nodes$/);
  });
  await fact("a confirmed action is followed live, and the list shows it", async () => {
    const other = await own.newPage();
    await other.goto("/nodes");
    await other.getByText("live", { exact: true }).waitFor();
    await page.getByRole("link", { name: "Cordon node-1", exact: true }).click();
    await page.getByRole("dialog", { name: "Preview" }).getByRole("button", { name: "Cordon" }).click();
    await page.waitForURL("**/done/*");
    await page.getByText("takes no new pods").waitFor();
    await other.getByRole("link", { name: "Uncordon node-1", exact: true }).waitFor();
    await other.close();
  });
  await fact("in production nothing goes on before the name is typed", async () => {
    await page.goto("/act/promote?environment=prod&service=basket");
    await page.getByRole("button", { name: "Promote" }).click();
    assert.match(page.url(), /\/act\/promote/);
    assert.equal(await page.locator("input[name=typed]:invalid").count(), 1);
  });
  await fact("nothing was asked of anybody else, and no page broke", async () => assert.deepEqual(strange, []));
  await own.close();
}

try {
  if (flag) mkdirSync(folder, { recursive: true });
  await looks();
  await phone();
  await plain();
  await scripted();
  console.log(`test result: ${failed ? "FAILED" : "ok"}. ${passed} passed; ${failed} failed; 0 ignored`);
  process.exitCode = failed ? 1 : 0;
} finally {
  await browser.close();
  served.stdin.end();
}
