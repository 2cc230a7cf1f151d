"use strict";

// INDEX, from index.js, has [file, id, text] of everything in the report that has a place.
const MOST = 30;
const field = document.getElementById("search");
const found = document.getElementById("found");
const count = document.getElementById("count");

function matches(words) {
  const hits = [];
  for (const [file, id, text] of INDEX) {
    const name = id.replaceAll("-", " ").toLowerCase();
    const whole = `${name} ${text.toLowerCase()}`;
    if (!words.every((word) => whole.includes(word))) continue;
    const named = words.every((word) => name.includes(word));
    hits.push({ file, id, text, rank: named ? name.length : 1000 + whole.indexOf(words[0]) });
  }
  return hits.sort((one, other) => one.rank - other.rank);
}

function item(hit) {
  const element = document.createElement("li");
  const link = document.createElement("a");
  link.href = `${hit.file}#${hit.id}`;
  link.textContent = hit.id.replaceAll("-", " ");
  element.append(link, ` ${hit.text.slice(0, 160)}`);
  return element;
}

field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length ? matches(words) : [];
  found.replaceChildren(...hits.slice(0, MOST).map(item));
  const more = hits.length > MOST ? `, the first ${MOST} are shown` : "";
  count.textContent = words.length ? `${hits.length} found${more}` : "";
});
