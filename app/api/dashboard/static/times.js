// Instants as people say them. The server writes them in UTC; that text stays as the title.
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

function length(seconds) {
  for (const [index, [name, size]] of UNITS.entries()) {
    if (seconds < size && name !== "s") continue;
    const rest = UNITS[index + 1];
    const more = rest ? Math.floor((seconds % size) / rest[1]) : 0;
    return `${Math.floor(seconds / size)} ${name}${more ? ` ${more} ${rest[0]}` : ""}`;
  }
  return "0 s";
}

function distance(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 5) return "now";
  const [name, size] = UNITS.find(([, unit]) => seconds >= unit);
  const text = `${Math.floor(seconds / size)} ${name}`;
  return ms > 0 ? `in ${text}` : `${text} ago`;
}

export function words(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-ago]")) {
    if (!time.title) time.title = time.textContent.trim();
    time.textContent = distance(Date.parse(time.dateTime) - now);
  }
  for (const each of root.querySelectorAll("[data-since]")) {
    each.textContent = length(Math.max(0, Math.round((now - Number(each.dataset.since)) / 1000)));
  }
}
