// The table of records: its columns, what stands above it, and what of it is printed.

const PRINTED_ROWS = 1000;
const state = {
  view: "",
  record: -1,
  blind: about.blind,
  sort: { by: "place", down: false },
  revealed: new Set(),
  panel: null,
  query: 0,
};

const hasOne = (name) => columns[name].some((value) => value !== null);
const has = {
  category: hasOne("category"),
  gold: hasOne("gold"),
  confidence: hasOne("confidence"),
  set: about.sets.length > 1,
  content: hasOne("content"),
};

// The columns of the list: its heading, what it sorts by, its cell.
const COLUMNS = [
  { name: "place", heading: "#", cell: (record) => String(record + 1) },
  { name: "set", heading: "Set", there: () => has.set && !state.blind, cell: (record) => setOf(record).name },
  // A name often says who answered.
  { name: "id", heading: "Record", there: () => !state.blind, cell: (record) => columns.id[record] },
  { name: "question", heading: "Question", there: () => has.content, cell: (record) => columns.question[record] },
  {
    name: "category",
    heading: "Category",
    there: () => has.category,
    cell: (record) => columns.category[record] ?? "",
  },
  { name: "verdict", heading: "Verdict", there: () => !state.blind, cell: verdictInWords },
  {
    name: "confidence",
    heading: "Sure",
    there: () => has.confidence && !state.blind,
    cell: (record) => percent(columns.confidence[record]),
  },
  { name: "gold", heading: "Known", there: () => has.gold && !state.blind, cell: goldCell },
  { name: "mine", heading: "Mine", there: () => state.blind || opinions.events.length > 0, cell: mineCell },
];

function goldCell(record) {
  const gold = columns.gold[record];
  if (gold === null) return "";
  const right = columns.correct[record];
  const sign = right === null ? "" : right ? "✓ " : "✗ ";
  return el(
    "span",
    { class: right === null ? "" : right ? "right" : "wrong" },
    sign,
    inWords(taskOf(record), gold),
    right === false ? el("span", { class: "unseen" }, ", the judge is wrong") : null,
  );
}

function mineCell(record) {
  const own = opinionOn(record);
  if (!own) return "";
  return `${own.verdict === null ? "" : inWords(taskOf(record), own.verdict)}${own.note ? " ✎" : ""}`;
}

const shownColumns = () => COLUMNS.filter((column) => column.there?.() ?? true);

const cellsOf = (record) =>
  shownColumns().map((column) =>
    el("div", { role: "gridcell", class: `c-${column.name}`, dir: "auto" }, column.cell(record)),
  );

const list = new RecordList(byId("list"), cellsOf, (position) => openAt(position));

function drawHead() {
  const head = shownColumns().map(({ name, heading }) => {
    const direction = state.sort.by === name ? (state.sort.down ? "descending" : "ascending") : "none";
    const arrow = { ascending: " ▲", descending: " ▼", none: "" }[direction];
    return el(
      "div",
      { role: "columnheader", class: `c-${name}`, "aria-sort": direction },
      el(
        "button",
        { type: "button", class: "plain", onclick: () => sortBy(name) },
        heading,
        el("span", { "aria-hidden": "true" }, arrow),
      ),
    );
  });
  byId("head").replaceChildren(...head);
  byId("list").dataset.columns = shownColumns()
    .map(({ name }) => name)
    .join(" ");
}

function sortBy(name) {
  state.sort = { by: name, down: state.sort.by === name ? !state.sort.down : false };
  refresh();
  byId("head").querySelector(`.c-${name} button`).focus();
}

// ---- filters

const choice = (id) => byId(id)?.value ?? "";
const choices = () => ({
  set: choice("set"),
  category: choice("category"),
  verdict: choice("verdict"),
  result: choice("result"),
  mine: choice("mine"),
});

/** Brings the list up to date with filters, search and order. */
async function refresh() {
  const query = ++state.query;
  drawHead();
  const records = sorted(chosen(choices(), state.blind), state.sort);
  const wanted = byId("search").value.trim();
  if (!wanted) return showFound(records, true);
  await search(
    records,
    wanted,
    state.blind,
    () => query !== state.query,
    (matches, done) =>
      showFound(
        records.filter((record) => matches.has(record)),
        done,
      ),
  );
}

function showFound(records, done) {
  list.show(records);
  byId("found").textContent =
    `${count(records.length, "record", "records")} of ${total.toLocaleString("en")}${done ? "" : ", searching…"}`;
  byId("nothing").hidden = records.length > 0 || !done;
}

function fillChoices() {
  const options = (values) => values.map(([value, words]) => el("option", { value }, words));
  const fill = (id, all, values) => {
    byId(id).replaceChildren(...options([["", all], ...values]));
    byId(id).closest("label").hidden = values.length < 2;
  };
  const known = (name) => [...new Set(columns[name])];
  fill(
    "set",
    "all sets",
    about.sets.map(({ name }, at) => [String(at), name]),
  );
  const categories = known("category")
    .map((name) => name ?? "")
    .sort();
  fill(
    "category",
    "all categories",
    categories.map((name) => [`=${name}`, name || "(no category)"]),
  );
  const tasks = new Set(about.sets.map(({ task }) => task));
  const verdicts = known("verdict")
    .filter((label) => label !== null)
    .sort(new Intl.Collator("en", { numeric: true }).compare);
  fill(
    "verdict",
    "all verdicts",
    verdicts.map((label) => [label, tasks.size === 1 ? inWords([...tasks][0], label) : label]),
  );
  for (const id of ["set", "category", "verdict", "result", "mine"]) byId(id).addEventListener("change", refresh);
  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, 150);
  });
}

/** The list as a plain table, for paper. */
function printList() {
  const shown = list.records.slice(0, PRINTED_ROWS);
  const head = el(
    "tr",
    {},
    shownColumns().map(({ heading }) => el("th", { scope: "col" }, heading)),
  );
  const rows = shown.map((record) =>
    el(
      "tr",
      {},
      shownColumns().map((column) => el("td", { class: `c-${column.name}` }, column.cell(record))),
    ),
  );
  const left = list.records.length - shown.length;
  byId("printed").replaceChildren(
    el("table", {}, el("thead", {}, head), el("tbody", {}, rows)),
    ...(left
      ? [
          remark(
            `${count(left, "more record", "more records")} in the list ${left === 1 ? "is" : "are"} not printed: filter the list first.`,
          ),
        ]
      : []),
  );
}
