"use strict";

const get = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// Make an element. Strings become text, never markup: much of it was said by peers.
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined)
    .map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

const make = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// What is shown already is not drawn anew: a reader's place, focus and selection stay.
const shown = new Map();
function show(id, key, build) {
  const text = JSON.stringify(key);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  get(id).replaceChildren(...[build()].flat().filter((each) => each !== null));
}

// A table; one with long texts becomes cards where there is no room for its columns.
function table(heads, rows, caption, kind = "plain") {
  const made = make("table", { class: kind },
    make("caption", { class: "quiet" }, caption),
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, rows.map((cells) => make("tr", {}, cells.map((cell, place) => (place
      ? make("td", { "data-head": heads[place] }, cell)
      : make("th", { scope: "row" }, cell)))))));
  return kind === "cards" ? made
    : make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, made);
}

const pairs = (found) => make("dl", {}, Object.entries(found).map(([name, value]) =>
  [make("dt", {}, name), make("dd", {}, value)]));

const byName = (names) => (a, b) => (names.of(a.node_id) < names.of(b.node_id) ? -1 : 1);
const none = (text) => make("p", { class: "soft" }, text);
const short = (text, length = 10) => (text && text.length > length ? `${text.slice(0, length)}…` : text);
const mono = (text, length = 10) => make("code", { title: text }, short(text, length));
const whole = (number) => Number(number).toLocaleString("en");
const clockTime = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
const plural = (count, one, many) => `${whole(count)} ${count === 1 ? one : many}`;

function lasting(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}
