// Keeps a page up to date, and adds keys, dialogs and the command palette.
// Every page works without it.
(function () {
  "use strict";
  const body = document.body;
  const one = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const make = (name, text) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Ages count on by themselves.
  const age = (seconds) => {
    if (seconds < 60) return seconds + "s";
    if (seconds < 3600) return Math.floor(seconds / 60) + "m";
    if (seconds < 86400) return Math.floor(seconds / 3600) + "h";
    return Math.floor(seconds / 86400) + "d";
  };
  const ageAll = () => {
    const now = Date.now();
    all("time[datetime][title]").forEach((time) => {
      const at = Date.parse(time.getAttribute("datetime"));
      const text = age(Math.max(0, Math.floor((now - at) / 1000)));
      if (!isNaN(at) && time.textContent !== text) time.textContent = text;
    });
  };
  setInterval(ageAll, 1000);

  // Changes of rows: those that are shown are replaced one by one.
  const held = new Map();
  const touched = (table) => table.matches(":hover") || table.contains(document.activeElement) && document.activeElement.closest("tr") !== null;
  const parse = (cells) => {
    const template = make("template");
    template.innerHTML = "<table><tbody><tr>" + cells + "</tr></tbody></table>";
    return one("tr", template.content);
  };
  const put = (table, rows) => {
    for (const key of Object.keys(rows)) {
      const fresh = parse(rows[key]);
      fresh.dataset.key = key;
      const old = table.rowsByKey.get(key);
      if (old) {
        const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
        const current = old.classList.contains("current");
        old.replaceChildren(...fresh.childNodes);
        if (current) old.classList.add("current");
        if (focused) {
          const again = all("a", old).find((link) => link.getAttribute("href") === focused);
          if (again) again.focus();
        }
      } else {
        table.rowsByKey.set(key, fresh);
      }
    }
  };
  const arrange = (table, order) => {
    const tbody = one("tbody", table);
    const wanted = new Set(order);
    for (const [key, row] of table.rowsByKey) {
      if (!wanted.has(key)) {
        row.remove();
        table.rowsByKey.delete(key);
      }
    }
    let next = tbody.firstElementChild;
    for (const key of order) {
      const row = table.rowsByKey.get(key);
      if (!row) continue;
      if (row === next) next = next.nextElementSibling;
      else tbody.insertBefore(row, next);
    }
    const empty = one(".empty", table.parentElement);
    if (empty) empty.hidden = order.length > 0;
  };
  const index = (table) => {
    table.rowsByKey = new Map(all("tbody > tr[data-key]", table).map((row) => [row.dataset.key, row]));
  };
  // Never moves a row under the pointer: tells how many changes wait instead.
  const offer = (table, order) => {
    let button = one(".apply", table.parentElement);
    const shown = all("tbody > tr[data-key]", table).map((row) => row.dataset.key);
    const same = shown.length === order.length && shown.every((key, place) => key === order[place]);
    if (same || !touched(table)) {
      arrange(table, order);
      held.delete(table);
      if (button) button.remove();
      return;
    }
    const count = order.filter((key, place) => shown[place] !== key).length || Math.abs(shown.length - order.length);
    held.set(table, order);
    if (!button) {
      button = make("button");
      button.type = "button";
      button.className = "apply";
      button.addEventListener("click", () => {
        arrange(table, held.get(table) || []);
        held.delete(table);
        button.remove();
      });
      table.parentElement.prepend(button);
    }
    button.textContent = count + (count === 1 ? " row" : " rows") + " moved: show";
  };
  const release = () => {
    for (const [table, order] of held) if (!touched(table)) offer(table, order);
  };
  document.addEventListener("pointermove", release, { passive: true });

  let lastHeard = Date.now();
  const say = (text) => {
    const place = one("#stream");
    if (place && place.textContent !== text) place.textContent = text;
  };
  const change = (event) => {
    lastHeard = Date.now();
    const news = JSON.parse(event.data);
    if (news.gone) say("What this page is about is gone.");
    for (const id of Object.keys(news.parts)) {
      const part = document.getElementById(id);
      if (!part || part.contains(document.activeElement) && document.activeElement !== part && id !== "data" && id !== "foot" && id !== "job") {
        if (part) part.dataset.waiting = "1";
        if (part && document.activeElement.tagName === "INPUT") continue;
      }
      if (part) part.innerHTML = news.parts[id];
    }
    for (const id of Object.keys(news.tables)) {
      const table = document.getElementById(id);
      if (!table) continue;
      put(table, news.tables[id].put);
      offer(table, news.tables[id].order);
    }
    ageAll();
  };
  const follow = (address) => {
    all("table[data-rows]").forEach(index);
    const source = new EventSource(address);
    source.addEventListener("open", () => { lastHeard = Date.now(); say("live"); });
    source.addEventListener("change", change);
    source.addEventListener("beat", () => { lastHeard = Date.now(); say("live"); });
    source.addEventListener("error", () => {
      say("not live; trying again");
      // Refused for good, like too many streams: the page comes anew now and then.
      if (source.readyState === 2) setTimeout(() => follow(address), 10000);
    });
    window.addEventListener("pagehide", () => source.close());
  };
  setInterval(() => {
    const silent = Math.floor((Date.now() - lastHeard) / 1000);
    const stale = silent > 20 && body.dataset.live;
    body.classList.toggle("stale", Boolean(stale));
    if (stale) say("no news for " + silent + " s: what is shown may be old");
  }, 1000);
  if (body.dataset.live) follow(body.dataset.live);
  const again = one("#again[data-again]");
  if (again) location.replace(again.getAttribute("href"));
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // Logs follow on demand, and stop while somebody reads further up.
  const log = one("#log[data-follow]");
  const button = one("#follow");
  if (log && button) {
    let source = null;
    let skipped = 0;
    button.hidden = false;
    const stop = () => {
      if (source) source.close();
      source = null;
      button.setAttribute("aria-pressed", "false");
      button.textContent = "Follow";
    };
    button.addEventListener("click", () => {
      if (source) return stop();
      button.setAttribute("aria-pressed", "true");
      button.textContent = "Stop";
      log.scrollTop = log.scrollHeight;
      source = new EventSource(log.dataset.follow);
      source.addEventListener("lines", (event) => {
        const news = JSON.parse(event.data);
        const down = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        const template = make("template");
        template.innerHTML = news.html;
        log.append(template.content);
        while (log.childElementCount > 2000) log.firstElementChild.remove();
        skipped += news.skipped;
        if (skipped) one("#skipped").textContent = skipped + " lines skipped: they come too fast";
        if (down) log.scrollTop = log.scrollHeight;
      });
    });
    log.scrollTop = log.scrollHeight;
  }

  // Filters apply as soon as something is chosen.
  all("form.filter select").forEach((select) => select.addEventListener("change", () => select.form.requestSubmit()));
  all("form.filter, form.search").forEach((form) => form.addEventListener("submit", () => {
    all("input, select", form).forEach((field) => { if (!field.value) field.disabled = true; });
  }));

  // A preview opens over the page; without this it is a page of its own.
  const dialog = make("dialog");
  dialog.setAttribute("aria-label", "Preview");
  body.append(dialog);
  const ask = async (address) => {
    let text;
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      text = await answer.text();
    } catch (error) {
      location.href = address;
      return;
    }
    const page = new DOMParser().parseFromString(text, "text/html");
    const main = one("main", page);
    if (!main) { location.href = address; return; }
    dialog.classList.toggle("production", page.body.classList.contains("production"));
    dialog.replaceChildren(...main.childNodes);
    if (!dialog.open) dialog.showModal();
    const cancel = one("#cancel", dialog);
    if (cancel) {
      cancel.addEventListener("click", (event) => { event.preventDefault(); dialog.close(); });
      cancel.focus();
    }
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-ask]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    ask(link.getAttribute("href"));
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // The command palette: pages, services, pods, nodes and actions by name.
  const palette = make("dialog");
  palette.className = "palette";
  palette.setAttribute("aria-label", "Command palette");
  const field = make("input");
  field.type = "search";
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-label", "Go to or do");
  field.setAttribute("aria-controls", "hits");
  field.setAttribute("aria-expanded", "true");
  field.setAttribute("aria-autocomplete", "list");
  field.autocomplete = "off";
  const hits = make("ul");
  hits.id = "hits";
  hits.setAttribute("role", "listbox");
  hits.setAttribute("aria-label", "Found");
  palette.append(field, hits);
  body.append(palette);
  let asked = 0;
  let chosen = 0;
  const mark = () => {
    all("li", hits).forEach((hit, place) => hit.setAttribute("aria-selected", String(place === chosen)));
    const current = hits.children[chosen];
    if (current) { field.setAttribute("aria-activedescendant", current.id); current.scrollIntoView({ block: "nearest" }); }
    else field.removeAttribute("aria-activedescendant");
  };
  const look = async () => {
    const number = ++asked;
    const answer = await fetch("/search.json?q=" + encodeURIComponent(field.value));
    if (!answer.ok || number !== asked) return;
    const found = await answer.json();
    if (number !== asked) return;
    hits.replaceChildren(...found.map((hit, place) => {
      const item = make("li");
      item.id = "hit" + place;
      item.setAttribute("role", "option");
      const kind = make("span", hit.risk || hit.kind);
      kind.className = hit.risk ? "kind risk" : "kind";
      item.append(kind, " " + hit.text);
      item.addEventListener("click", () => open(hit));
      item.hit = hit;
      return item;
    }));
    chosen = 0;
    mark();
  };
  const open = (hit) => {
    palette.close();
    if (hit.risk) ask(hit.to);
    else location.href = hit.to;
  };
  field.addEventListener("input", look);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      chosen = Math.max(0, Math.min(hits.childElementCount - 1, chosen + step));
      mark();
    }
    if (event.key === "Enter" && hits.children[chosen]) {
      event.preventDefault();
      open(hits.children[chosen].hit);
    }
  });
  const showPalette = () => {
    if (!one("#search")) return;
    field.value = "";
    palette.showModal();
    field.focus();
    look();
  };

  // Keys; `x` switches them off for who types by voice.
  const off = () => localStorage.getItem("keys") === "off";
  let going = 0;
  const current = () => one("tr.current");
  const move = (step) => {
    const rows = all("main tbody > tr").filter((row) => row.offsetParent !== null);
    if (!rows.length) return;
    const from = rows.indexOf(current());
    const next = rows[Math.max(0, Math.min(rows.length - 1, from < 0 ? 0 : from + step))];
    if (current()) current().classList.remove("current");
    next.classList.add("current");
    next.scrollIntoView({ block: "nearest" });
    const link = one("a[href]", next);
    if (link) link.focus({ preventScroll: true });
  };
  const inRow = (words) => {
    const row = current();
    return row && all("a.button", row).find((link) => link.textContent === words);
  };
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "k") {
      event.preventDefault();
      showPalette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open || palette.open) return;
    if (event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "x") {
      localStorage.setItem("keys", off() ? "on" : "off");
      say(off() ? "keys are off; x switches them on" : "keys are on");
      return;
    }
    if (off()) return;
    if (Date.now() - going < 1500) {
      going = 0;
      const link = one('nav a[data-go="' + CSS.escape(event.key) + '"]');
      if (link) { event.preventDefault(); location.href = link.href; }
      return;
    }
    const deeds = {
      g: () => { going = Date.now(); },
      "?": () => { location.href = "/help"; },
      "/": () => { const filter = one("#filter") || one("#search"); if (filter) filter.focus(); },
      ":": showPalette,
      j: () => move(1),
      k: () => move(-1),
      l: () => { const link = inRow("Logs"); if (link) location.href = link.href; },
      r: () => { const link = inRow("Restart"); if (link) ask(link.getAttribute("href")); },
      Escape: () => { if (current()) current().classList.remove("current"); },
    };
    if (deeds[event.key]) {
      if (event.key !== "Escape") event.preventDefault();
      deeds[event.key]();
    }
  });
})();
