// Making elements. Text only ever becomes text: nothing here, or anywhere on the page, reads HTML out of a string.

const byId = (id) => document.getElementById(id);

/** An element with attributes (`on` + event: a listener; false, null and undefined: left out) and children. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A block of somebody's text, as it was written; what turns the direction of text ends with it. */
const text = (content, attributes = {}) => el("div", { class: "text", dir: "auto", ...attributes }, content);

/** A quiet remark. */
const remark = (...children) => el("p", { class: "quiet" }, ...children);

const fold = (title, open, ...children) => el("details", { open }, el("summary", {}, title), ...children);

const percent = (share) => (share === null || share === undefined ? "" : `${(100 * share).toFixed(1)}%`);

const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** Says something to those who listen to the page, and shows it at its foot. */
function say(words) {
  byId("said").textContent = words;
}
