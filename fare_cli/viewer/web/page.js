// The page as a whole: its views, its header, its keys.

// ---- one record

const contextOf = (record) => ({ blind: state.blind, order: orderFor(record, hidesJudge(record)) });
const hidesJudge = (record) => state.blind && !state.revealed.has(record);

function openAt(position) {
  if (position < 0 || position >= list.records.length) return;
  visit(`record-${list.records[position] + 1}`);
}

function redrawRecord() {
  const record = state.record;
  const verdict = verdictOf(record);
  const hides = hidesJudge(record);
  const context = contextOf(record);
  const focused = document.activeElement?.dataset?.label ?? document.activeElement?.id;
  const category = columns.category[record];
  state.panel = isReviewable(record)
    ? reviewPanel(record, verdict, {
        ...context,
        hidesJudge: hides,
        changed: () => {
          redrawRecord();
          showOpinions();
        },
        reveal: () => reveal(record),
      })
    : null;
  if (!hides) markSeen(record);
  byId("record").replaceChildren(
    el(
      "h1",
      { id: "record-title", tabindex: -1, dir: "auto" },
      hides || !columns.id[record] ? `Record ${record + 1}` : columns.id[record],
    ),
    remark(
      [
        !hides && has.set ? setOf(record).name : "",
        category ? `category: ${category}` : "",
        !hides && verdict.source ? `${verdict.source.file}, line ${verdict.source.line}` : "",
      ]
        .filter(Boolean)
        .join(" · "),
    ),
    recordView(record, verdict, { hidesJudge: hides, order: context.order }),
    ...(state.panel ? [state.panel.panel] : []),
    ...(hides
      ? []
      : [
          judgmentView(verdict),
          fold(
            "All fields, as they stand in the file",
            false,
            text(JSON.stringify(verdict, null, 2), { class: "text raw" }),
          ),
        ]),
  );
  const position = list.records.indexOf(record);
  byId("where").textContent =
    position < 0
      ? "not in the list"
      : `${(position + 1).toLocaleString("en")} of ${list.records.length.toLocaleString("en")}`;
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
  byId("mine-count").textContent = own.length
    ? `${count(decided, "verdict", "verdicts")}, ${count(own.filter((event) => event.note).length, "note", "notes")}`
    : "nothing yet";
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

/** Opens a view at once. The event that a new hash brings comes later: a second key would still find the view before. */
function visit(view) {
  if (location.hash !== `#${view}`) history.pushState(null, "", `#${view}`);
  route();
}

function route() {
  state.panel?.keepNote();
  const [, number] = location.hash.match(/^#record-(\d+)$/) ?? [];
  const record = Number(number) - 1;
  const view =
    record >= 0 && record < total
      ? "record"
      : ["records", "words"].includes(location.hash.slice(1))
        ? location.hash.slice(1)
        : "overview";
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
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input:not([type="checkbox"]), textarea, select')) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!byId("keys").checked) return;
  const inRecord = state.view === "record";
  const acts = {
    "/": () => {
      visit("records");
      byId("search").focus();
    },
    "?": () => visit("words"),
    u: () => {
      const record = undo(contextOf);
      showOpinions();
      if (record !== undefined) visit(`record-${record + 1}`);
    },
    ...(inRecord && {
      ArrowRight: () => step(1),
      j: () => step(1),
      ArrowLeft: () => step(-1),
      k: () => step(-1),
      Escape: () => visit("records"),
      n: () => byId("note")?.focus(),
    }),
  };
  if (event.key in acts) acts[event.key]();
  else if (inRecord && /^[0-9x]$/.test(event.key)) state.panel?.decide(event.key);
  else return;
  event.preventDefault();
}

function start() {
  recall();
  fillChoices();
  byId("reviewer").value = opinions.reviewer;
  // At every letter: what is drawn anew when the field is left would be gone from under the click that leaves it.
  byId("reviewer").addEventListener("input", (event) => {
    opinions.reviewer = event.target.value.trim();
    rememberLast();
    keep();
    showOpinions();
    refresh();
    if (state.view === "record") redrawRecord();
  });
  byId("blind").addEventListener("change", (event) => setBlind(event.target.checked));
  byId("save").addEventListener("click", () => {
    state.panel?.keepNote();
    save();
    showOpinions();
    say("Saved. Your browser has put the file among its downloads.");
  });
  byId("take").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) takeFile(file);
    event.target.value = "";
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("print").addEventListener("click", () => print());
  for (const bar of document.querySelectorAll("[data-hidden-without]")) bar.hidden = !has[bar.dataset.hiddenWithout];
  addEventListener("hashchange", route);
  addEventListener("keydown", keyPressed);
  addEventListener("beforeprint", () => {
    if (state.view === "records") printList();
  });
  addEventListener("beforeunload", (event) => {
    state.panel?.keepNote();
    if (opinions.unsaved && !opinions.isKept) event.preventDefault();
  });
  showOpinions();
  setBlind(state.blind);
  route();
}

start();
