// Asks for the part of the page that changes, again and again, while somebody can see it.
import { words } from "./times.js";

const HIDDEN_MS = 60000;
const MAX_MS = 60000;

// What somebody is typing, has opened or has ticked is not taken away.
function isBusy(part) {
  const active = document.activeElement;
  return part.contains(active) && active.matches("input, select, textarea") || part.querySelector("input:checked") !== null;
}

function replace(part, html) {
  const opened = new Set([...part.querySelectorAll("details[open][id]")].map((each) => each.id));
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && [...part.querySelectorAll("a, button, summary")].indexOf(focused);
  const found = new DOMParser().parseFromString(html, "text/html");
  for (const id of opened) found.getElementById(id)?.setAttribute("open", "");
  words(found);
  part.replaceChildren(...found.body.childNodes);
  if (focused) part.querySelectorAll("a, button, summary")[place]?.focus({ preventScroll: true });
  part.dispatchEvent(new Event("replaced"));
}

export function watch(part) {
  const base = Number(part.dataset.live);
  if (!base) return;
  let etag = "";
  let wait = base;

  async function look() {
    if (document.hidden) return;
    const headers = { "X-Batchgate-Live": "1" };
    if (etag) headers["If-None-Match"] = etag;
    const answer = await fetch(location.href, { headers, cache: "no-store", credentials: "same-origin" });
    if (answer.status === 401) return location.reload();
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const html = await answer.text();
    if (isBusy(part)) return;
    etag = answer.headers.get("ETag") ?? "";
    replace(part, html);
  }

  async function turn() {
    try {
      await look();
      wait = base;
      document.body.classList.remove("stale");
    } catch {
      wait = Math.min(MAX_MS, wait * 2);
      document.body.classList.add("stale");
    }
    setTimeout(turn, document.hidden ? Math.min(HIDDEN_MS, base * 4) : wait);
  }

  setTimeout(turn, base);
}
