// Sends a file in parts. What a cut connection leaves is sent again, also after the page was closed: the ids of the
// parts that have arrived are kept in this browser, by name, size and date of the file.
const PART_BYTES = 8 * 2 ** 20;
const MAX_WAIT_MS = 20000;
const csrf = document.querySelector("meta[name=csrf]").content;

class Refused extends Error {}

function memory(file) {
  return `batchgate upload ${file.name} ${file.size} ${file.lastModified}`;
}

function pause(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    }
    window.addEventListener("online", done);
  });
}

// One request. Raises Refused for what will not get better by asking again.
function send(path, body, onProgress = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(body === null ? "GET" : "POST", path);
    request.setRequestHeader("X-CSRF-Token", csrf);
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      if (request.status === 200) return resolve(JSON.parse(request.responseText));
      const text = request.responseText.slice(0, 500) || `status ${request.status}`;
      const passes = request.status >= 500 || request.status === 429 || request.status === 408;
      reject(passes || text.includes("truncated") ? new Error(text) : new Refused(text));
    };
    request.onerror = () => reject(new Error("The connection was cut."));
    if (body === null) return request.send();
    const isPart = body instanceof Blob;
    request.setRequestHeader("Content-Type", isPart ? "application/octet-stream" : "application/json");
    request.send(isPart ? body : JSON.stringify(body));
  });
}

async function patiently(act, onWait) {
  for (let wait = 500; ; wait = Math.min(MAX_WAIT_MS, wait * 2)) {
    try {
      return await act();
    } catch (error) {
      if (error instanceof Refused) throw error;
      onWait(error.message);
      await pause(wait);
    }
  }
}

async function begun(file, purpose) {
  const kept = JSON.parse(localStorage.getItem(memory(file)) ?? "null");
  if (kept) {
    try {
      if ((await send(`/ui/uploads/${kept.id}`, null)).status === "pending") return kept;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  const type = file.type || "application/octet-stream";
  const made = await send("/ui/uploads", { filename: file.name, purpose, bytes: file.size, mime_type: type });
  return { id: made.id, parts: [] };
}

async function upload(file, purpose, show) {
  const state = await patiently(() => begun(file, purpose), (why) => show(0, `${why} Trying again.`));
  const keep = () => localStorage.setItem(memory(file), JSON.stringify(state));
  keep();
  for (let at = state.parts.length * PART_BYTES; at < file.size; at += PART_BYTES) {
    const part = file.slice(at, Math.min(file.size, at + PART_BYTES));
    const act = () => send(`/ui/uploads/${state.id}/parts`, part, (sent) => show(at + sent, "Sending"));
    const answer = await patiently(act, (why) => show(at, `${why} Going on from here.`));
    state.parts.push(answer.id);
    keep();
  }
  show(file.size, "Checking");
  const done = await patiently(() => finish(state), (why) => show(file.size, `${why} Trying again.`));
  localStorage.removeItem(memory(file));
  return done.file;
}

// The answer to the last request may be lost, too: then the upload is over already.
async function finish(state) {
  const found = await send(`/ui/uploads/${state.id}`, null);
  if (found.status === "completed") return found;
  return send(`/ui/uploads/${state.id}/complete`, { part_ids: state.parts });
}

export function start() {
  const area = document.getElementById("upload");
  const input = area.querySelector("input[type=file]");
  const purpose = area.querySelector("select");
  const bar = area.querySelector("progress");
  const words = area.querySelector("[role=status]");
  let isBusy = false;

  async function take(file) {
    if (!file || isBusy) return;
    isBusy = true;
    input.disabled = true;
    bar.hidden = false;
    bar.max = Math.max(1, file.size);
    const show = (sent, text) => {
      bar.value = sent;
      words.textContent = `${text}: ${file.name}, ${Math.floor((sent * 100) / Math.max(1, file.size))} %`;
    };
    try {
      show(0, "Sending");
      const id = await upload(file, purpose.value, show);
      location.assign(`/ui/files/${id}`);
    } catch (error) {
      localStorage.removeItem(memory(file));
      words.textContent = error.message;
      bar.hidden = true;
      isBusy = false;
      input.disabled = false;
    }
  }

  input.addEventListener("change", () => take(input.files[0]));
  for (const name of ["dragenter", "dragover"]) {
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.add("over");
    });
  }
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  window.addEventListener("beforeunload", (event) => isBusy && event.preventDefault());
  area.hidden = false;
}
