// What the person in front of the page says: events as docs/review.md describes them, kept by the browser and saved as a file.

const KEPT_AS = `fare-review-${about.key}`;
const LABELS = { pairwise: ["A", "B", "tie"], verify: ["yes", "no"] };
const opinions = { reviewer: "", events: [], seen: new Set(), unsaved: 0, undo: [], isKept: true };
let lastOpinions = new Map();

const isReviewable = (record) => columns.content[record] !== null;
const nameOf = (record) => `${taskOf(record)} ${columns.content[record]} ${columns.id[record]}`;
const nameOfEvent = (event) => `${event.task} ${event.content} ${event.record}`;

/** The last event of this reviewer on a record; undefined where there is none. */
const opinionOn = (record) => (isReviewable(record) ? lastOpinions.get(nameOf(record)) : undefined);

function recall() {
  try {
    const held = JSON.parse(localStorage.getItem(KEPT_AS) ?? "{}");
    opinions.reviewer = held.reviewer ?? "";
    opinions.events = held.events ?? [];
    opinions.unsaved = held.unsaved ?? 0;
    opinions.seen = new Set(held.seen ?? []);
  } catch {
    opinions.isKept = false;
  }
  rememberLast();
}

/** Puts everything where the browser keeps it; a browser that keeps nothing is said to the person by `isKept`. */
function keep() {
  const { reviewer, events, unsaved, seen } = opinions;
  try {
    localStorage.setItem(KEPT_AS, JSON.stringify({ reviewer, events, unsaved, seen: [...seen] }));
    opinions.isKept = true;
  } catch {
    opinions.isKept = false;
  }
}

/** Whether the reviewer said something of the record after a look at the judge's verdict, here or elsewhere. */
const wasSeen = (record) =>
  opinions.events.some(
    (event) => !event.blind && event.reviewer === opinions.reviewer && nameOfEvent(event) === nameOf(record),
  );

function rememberLast() {
  lastOpinions = new Map();
  for (const event of opinions.events) {
    if (event.reviewer !== opinions.reviewer) continue;
    const before = lastOpinions.get(nameOfEvent(event));
    if (!before || Date.parse(before.at) <= Date.parse(event.at)) lastOpinions.set(nameOfEvent(event), event);
  }
}

/** Says what the reviewer thinks of a record from now on. `blind`: the judge's verdict was not shown to them. */
function think(record, { verdict, note }, { blind, order }, canUndo = true) {
  const before = opinionOn(record);
  const state = { verdict: before?.verdict ?? null, note: before?.note ?? "" };
  if (state.verdict === verdict && state.note === note) return;
  if (canUndo) opinions.undo.push({ record, ...state });
  addEvent(record, { verdict, note, blind: blind && !opinions.seen.has(record) && !wasSeen(record), order });
}

function addEvent(record, { verdict, note, blind, order }) {
  opinions.events.push({
    review: 1,
    task: taskOf(record),
    record: columns.id[record],
    content: columns.content[record],
    reviewer: opinions.reviewer,
    verdict,
    note,
    blind,
    order,
    at: new Date().toISOString(),
  });
  opinions.unsaved++;
  rememberLast();
  keep();
}

/** Whether the judge's verdict on the record has been in front of the person. What they said of it before is said once
 * more, not blind, so that the saved file tells it on another computer, too. */
function markSeen(record) {
  if (opinions.seen.has(record)) return;
  opinions.seen.add(record);
  const own = opinionOn(record);
  if (own?.blind) addEvent(record, { ...own, blind: false });
  else keep();
}

/** Everything as the file that `fare review --merge` reads, handed to the browser to be saved. */
function save() {
  const lines = opinions.events.map((event) => `${JSON.stringify(event)}\n`).join("");
  const address = URL.createObjectURL(new Blob([lines], { type: "application/jsonl" }));
  const who = opinions.reviewer.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "reviewer";
  el("a", { href: address, download: `${who}.review.jsonl` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  opinions.unsaved = 0;
  keep();
}

/** Adds the events of a saved file and gives their number; an Error says which line is none. */
function take(content) {
  const known = new Set(opinions.events.map((event) => JSON.stringify(event)));
  const lines = content.split("\n");
  const taken = [];
  lines.forEach((line, number) => {
    if (!line.trim()) return;
    const event = eventIn(line);
    if (event === null) throw new Error(`line ${number + 1} is no verdict of a person`);
    if (!known.has(JSON.stringify(event))) taken.push(event);
  });
  opinions.events.push(...taken);
  rememberLast();
  keep();
  return taken.length;
}

function eventIn(line) {
  try {
    const event = JSON.parse(line);
    const texts = ["task", "record", "content", "reviewer", "note", "at"].every(
      (name) => typeof event[name] === "string",
    );
    return event.review === 1 && texts && typeof event.blind === "boolean" && Date.parse(event.at) ? event : null;
  } catch {
    return null;
  }
}

/** Which answer of a pair is shown first: while blind it differs by record and person, so that no place is favoured. */
function orderFor(record, blind) {
  if (taskOf(record) !== "pairwise") return null;
  if (!blind) return "ab";
  let mixed = 0;
  for (const letter of `${columns.content[record]}${opinions.reviewer}`)
    mixed = (Math.imul(mixed, 31) + letter.codePointAt(0)) | 0;
  return (mixed ^ (mixed >>> 7)) & 1 ? "ba" : "ab";
}
