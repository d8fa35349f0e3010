// What every page loads: times in words, questions before what cannot be undone, and looking for what is new.
import { words } from "./times.js";
import { watch } from "./live.js";

function question(event) {
  const text = event.target.dataset?.confirm;
  if (text && !window.confirm(text)) event.preventDefault();
}

document.addEventListener("submit", question);
words(document);
setInterval(() => words(document), 1000);
const live = document.getElementById("live");
if (live) watch(live);
if (document.getElementById("upload")) import("./upload.js").then((module) => module.start());
