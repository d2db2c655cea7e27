// The page as a whole: its views, the filters above the list, keys, printing.

const PRINTED_ROWS = 1000;
const state = { view: "", position: -1, blind: about.blind, sort: { by: "place", down: false }, revealed: new Set(), panel: null, query: 0 };

const hasOne = (name) => columns[name].some((value) => value !== null);
const has = { category: hasOne("category"), gold: hasOne("gold"), confidence: hasOne("confidence"), set: about.sets.length > 1, content: hasOne("content") };

// The columns of the list: its heading, what it sorts by, its cell.
const COLUMNS = [
  { name: "place", heading: "#", cell: (record) => String(record + 1) },
  { name: "set", heading: "Set", there: () => has.set, cell: (record) => setOf(record).name },
  { name: "id", heading: "Record", cell: (record) => columns.id[record] },
  { name: "question", heading: "Question", there: () => has.content, cell: (record) => columns.question[record] },
  { name: "category", heading: "Category", there: () => has.category, cell: (record) => columns.category[record] ?? "" },
  { name: "verdict", heading: "Verdict", there: () => !state.blind, cell: verdictInWords },
  { name: "confidence", heading: "Sure", there: () => has.confidence && !state.blind, cell: (record) => percent(columns.confidence[record]) },
  { name: "gold", heading: "Known", there: () => has.gold && !state.blind, cell: goldCell },
  { name: "mine", heading: "Mine", there: () => state.blind || opinions.events.length > 0, cell: mineCell },
];

function goldCell(record) {
  const gold = columns.gold[record];
  if (gold === null) return "";
  const right = columns.correct[record];
  const sign = right === null ? "" : right ? "✓ " : "✗ ";
  return el("span", { class: right === null ? "" : right ? "right" : "wrong" }, sign, inWords(taskOf(record), gold), right === false ? el("span", { class: "unseen" }, ", the judge is wrong") : null);
}

function mineCell(record) {
  const own = opinionOn(record);
  if (!own) return "";
  return `${own.verdict === null ? "" : inWords(taskOf(record), own.verdict)}${own.note ? " ✎" : ""}`;
}

const shownColumns = () => COLUMNS.filter((column) => column.there?.() ?? true);

const cellsOf = (record) => shownColumns().map((column) => el("div", { role: "gridcell", class: `c-${column.name}`, dir: "auto" }, column.cell(record)));

const list = new RecordList(byId("list"), cellsOf, (position) => openAt(position));

function drawHead() {
  const head = shownColumns().map(({ name, heading }) => {
    const direction = state.sort.by === name ? (state.sort.down ? "descending" : "ascending") : "none";
    const arrow = { ascending: " ▲", descending: " ▼", none: "" }[direction];
    return el("div", { role: "columnheader", class: `c-${name}`, "aria-sort": direction }, el("button", { type: "button", class: "plain", onclick: () => sortBy(name) }, heading, el("span", { "aria-hidden": "true" }, arrow)));
  });
  byId("head").replaceChildren(...head);
  byId("list").dataset.columns = shownColumns().map(({ name }) => name).join(" ");
}

function sortBy(name) {
  state.sort = { by: name, down: state.sort.by === name ? !state.sort.down : false };
  refresh();
  byId("head").querySelector(`.c-${name} button`).focus();
}

// ---- filters

const choice = (id) => byId(id)?.value ?? "";
const choices = () => ({ set: choice("set"), category: choice("category"), verdict: choice("verdict"), result: choice("result"), mine: choice("mine") });

/** Brings the list up to date with filters, search and order. */
async function refresh() {
  const query = ++state.query;
  drawHead();
  const records = sorted(chosen(choices(), state.blind), state.sort);
  const wanted = byId("search").value.trim();
  if (!wanted) return showFound(records, true);
  await search(records, wanted, state.blind, () => query !== state.query, (matches, done) => showFound(records.filter((record) => matches.has(record)), done));
}

function showFound(records, done) {
  list.show(records);
  byId("found").textContent = `${count(records.length, "record", "records")} of ${total.toLocaleString("en")}${done ? "" : ", searching…"}`;
  byId("nothing").hidden = records.length > 0 || !done;
}

function fillChoices() {
  const options = (values) => values.map(([value, words]) => el("option", { value }, words));
  const fill = (id, all, values) => {
    byId(id).replaceChildren(...options([["", all], ...values]));
    byId(id).closest("label").hidden = values.length < 2;
  };
  const known = (name) => [...new Set(columns[name])];
  fill("set", "all sets", about.sets.map(({ name }, at) => [String(at), name]));
  const categories = known("category").map((name) => name ?? "").sort();
  fill("category", "all categories", categories.map((name) => [`=${name}`, name || "(no category)"]));
  const tasks = new Set(about.sets.map(({ task }) => task));
  const verdicts = known("verdict").filter((label) => label !== null).sort(new Intl.Collator("en", { numeric: true }).compare);
  fill("verdict", "all verdicts", verdicts.map((label) => [label, tasks.size === 1 ? inWords([...tasks][0], label) : label]));
  for (const id of ["set", "category", "verdict", "result", "mine"]) byId(id).addEventListener("change", refresh);
  let waiting = 0;
  byId("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 150); });
}

// ---- one record

const contextOf = (record) => ({ blind: state.blind, order: orderFor(record, hidesJudge(record)) });
const hidesJudge = (record) => state.blind && !state.revealed.has(record);

function openAt(position) {
  if (position < 0 || position >= list.records.length) return;
  location.hash = `record-${list.records[position] + 1}`;
}

function redrawRecord() {
  const record = state.record;
  const verdict = verdictOf(record);
  const hides = hidesJudge(record);
  const context = contextOf(record);
  const focused = document.activeElement?.dataset?.label ?? document.activeElement?.id;
  const category = columns.category[record];
  state.panel = isReviewable(record)
    ? reviewPanel(record, verdict, { ...context, hidesJudge: hides, changed: () => { redrawRecord(); showOpinions(); }, reveal: () => reveal(record) })
    : null;
  if (!hides) markSeen(record);
  byId("record").replaceChildren(
    el("h1", { id: "record-title", tabindex: -1, dir: "auto" }, columns.id[record] || `record ${record + 1}`),
    remark([has.set ? setOf(record).name : "", category ? `category: ${category}` : "", verdict.source ? `${verdict.source.file}, line ${verdict.source.line}` : ""].filter(Boolean).join(" · ")),
    recordView(record, verdict, { hidesJudge: hides, order: context.order }),
    ...(state.panel ? [state.panel.panel] : []),
    ...(hides ? [] : [judgmentView(record, verdict), fold("All fields, as they stand in the file", false, text(JSON.stringify(verdict, null, 2), { class: "text raw" }))]),
  );
  const position = list.records.indexOf(record);
  byId("where").textContent = position < 0 ? "not in the list" : `${(position + 1).toLocaleString("en")} of ${list.records.length.toLocaleString("en")}`;
  byId("previous").disabled = position <= 0;
  byId("next").disabled = position < 0 || position + 1 >= list.records.length;
  if (focused) (byId("record").querySelector(`[data-label="${CSS.escape(focused)}"]`) ?? byId(focused))?.focus();
}

function reveal(record) {
  state.revealed.add(record);
  redrawRecord();
  byId("judged-title").scrollIntoView();
}

function step(by) {
  const position = list.records.indexOf(state.record);
  if (position >= 0) openAt(position + by);
}

// ---- people's verdicts

function showOpinions() {
  const own = [...lastOpinions.values()];
  const decided = own.filter((event) => event.verdict !== null).length;
  byId("mine-count").textContent = own.length ? `${count(decided, "verdict", "verdicts")}, ${count(own.filter((event) => event.note).length, "note", "notes")}` : "nothing yet";
  byId("save").disabled = opinions.events.length === 0;
  byId("save").textContent = opinions.unsaved ? `Save as a file (${opinions.unsaved} new)` : "Save as a file";
  byId("not-kept").hidden = opinions.isKept;
}

function setBlind(blind) {
  state.blind = blind;
  document.body.dataset.blind = String(blind);
  byId("blind").checked = blind;
  if (blind) {
    state.revealed.clear();
    state.sort = { by: "place", down: false };
    byId("verdict").value = "";
    byId("result").value = "all";
    if (byId("mine").value === "against") byId("mine").value = "all";
  }
  refresh();
  if (state.view === "record") redrawRecord();
}

async function takeFile(file) {
  try {
    say(`${count(take(await file.text()), "entry", "entries")} taken from ${file.name}.`);
  } catch (error) {
    say(`${file.name} cannot be used: ${error.message}.`);
  }
  showOpinions();
  refresh();
}

// ---- views

function route() {
  state.panel?.keepNote();
  const [, number] = location.hash.match(/^#record-(\d+)$/) ?? [];
  const record = Number(number) - 1;
  const view = record >= 0 && record < total ? "record" : ["records", "words"].includes(location.hash.slice(1)) ? location.hash.slice(1) : "overview";
  const isSame = view === state.view;
  state.view = view;
  state.panel = null;
  for (const name of ["overview", "records", "record", "words"]) byId(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view === "record" ? "records" : view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "record") {
    state.record = record;
    redrawRecord();
    list.at = Math.max(0, list.records.indexOf(record));
    byId("record-title").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  if (view === "records") {
    list.redraw();
    list.go(list.at);
    list.grid.focus({ preventScroll: true });
  }
  if (!isSame && view !== "record") scrollTo(0, 0);
}

function keyPressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!byId("keys").checked) return;
  const inRecord = state.view === "record";
  const acts = {
    "/": () => { location.hash = "records"; setTimeout(() => byId("search").focus()); },
    "?": () => { location.hash = "words"; },
    u: () => { const record = undo(contextOf); showOpinions(); if (record !== undefined) { location.hash = `record-${record + 1}`; if (inRecord) redrawRecord(); } },
    ...(inRecord && { ArrowRight: () => step(1), j: () => step(1), ArrowLeft: () => step(-1), k: () => step(-1), Escape: () => { location.hash = "records"; }, n: () => byId("note")?.focus() }),
  };
  if (event.key in acts) acts[event.key]();
  else if (inRecord && /^[0-9x]$/.test(event.key)) state.panel?.decide(event.key);
  else return;
  event.preventDefault();
}

function printList() {
  const shown = list.records.slice(0, PRINTED_ROWS);
  const head = el("tr", {}, shownColumns().map(({ heading }) => el("th", { scope: "col" }, heading)));
  const rows = shown.map((record) => el("tr", {}, shownColumns().map((column) => el("td", {}, column.cell(record)))));
  const left = list.records.length - shown.length;
  byId("printed").replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, rows)), ...(left ? [remark(`${count(left, "more record", "more records")} in the list ${left === 1 ? "is" : "are"} not printed: filter the list first.`)] : []));
}

function start() {
  recall();
  fillChoices();
  byId("reviewer").value = opinions.reviewer;
  byId("reviewer").addEventListener("change", (event) => { opinions.reviewer = event.target.value.trim(); rememberLast(); keep(); showOpinions(); refresh(); if (state.view === "record") redrawRecord(); });
  byId("blind").addEventListener("change", (event) => setBlind(event.target.checked));
  byId("save").addEventListener("click", () => { state.panel?.keepNote(); save(); showOpinions(); say("Saved. Your browser has put the file among its downloads."); });
  byId("take").addEventListener("change", (event) => { const [file] = event.target.files; if (file) takeFile(file); event.target.value = ""; });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("print").addEventListener("click", () => print());
  for (const bar of document.querySelectorAll("[data-hidden-without]")) bar.hidden = !has[bar.dataset.hiddenWithout];
  addEventListener("hashchange", route);
  addEventListener("keydown", keyPressed);
  addEventListener("beforeprint", () => { if (state.view === "records") printList(); });
  addEventListener("beforeunload", (event) => { state.panel?.keepNote(); if (opinions.unsaved && !opinions.isKept) event.preventDefault(); });
  showOpinions();
  setBlind(state.blind);
  route();
}

start();
