// A review: one record at a time, asked of the server and said to it. What it has not acknowledged is not shown as said.

const opinions = { reviewer: "" };
const state = { looked: null, progress: null, panel: null, own: new Map(), busy: Promise.resolve() };

/** Asks the server; an Error says why nothing came of it. `body` makes it a write. */
async function ask(path, body) {
  const write = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer;
  try {
    answer = await fetch(`api/${path}`, { cache: "no-store", ...(body === undefined ? {} : write) });
  } catch {
    throw new Error("the program behind this page was ended. Start it again: what was saved is there");
  }
  const values = await answer.json().catch(() => ({ error: `the program behind this page refused (${answer.status})` }));
  if (!answer.ok) throw new Error([values.error, values.hint].filter(Boolean).join(": "));
  return values;
}

/** Does one thing after the other, as the person's hands did them; what fails is shown, and nothing else ends by it. */
function inTurn(work) {
  state.busy = state.busy.then(work).then(
    () => {
      byId("fault").hidden = true;
    },
    (error) => {
      byId("fault").textContent = `That did not work, and nothing was saved: ${error.message}.`;
      byId("fault").hidden = false;
      say("");
      if (state.looked) redrawRecord();
    },
  );
  return state.busy;
}

// ---- what the shared panel asks for

const opinionOn = (place) => state.own.get(place);

async function think(place, { verdict, note }) {
  take(await ask("say", { place, verdict, note }));
}

function take({ looked, progress }) {
  if (looked) {
    state.looked = looked;
    state.own.set(looked.place, looked.own);
  }
  state.progress = progress;
  showOpinions();
}

function showOpinions() {
  const { decided, total, notes } = state.progress;
  const noted = notes ? `, ${count(notes, "note", "notes")}` : "";
  byId("progress").textContent = `${decided.toLocaleString("en")} of ${total.toLocaleString("en")} decided${noted}`;
}

// ---- records

function redrawRecord() {
  const { place, order, hidden, verdict } = state.looked;
  const { blind, total } = state.progress;
  const isSame = byId("record").dataset.place === String(place);
  const typed = isSame && !byId("fault").hidden ? byId("note")?.value : undefined;
  const focused = document.activeElement?.dataset?.label ?? document.activeElement?.id;
  const context = { hidesJudge: hidden, order };
  state.panel = reviewPanel(place, verdict, {
    ...context,
    blind,
    changed,
    // A key that was pressed once more while the next record was on its way is not about that one, nor meant for this.
    attempt: (work) => inTurn(() => (state.looked.place === place ? work() : undefined)),
    reveal: () => inTurn(reveal),
  });
  byId("record").dataset.place = String(place);
  byId("record").replaceChildren(
    el("h1", { id: "record-title", tabindex: -1 }, `Record ${(place + 1).toLocaleString("en")}`),
    ...(hidden ? [] : [remark(verdict.id)]),
    recordView(place, verdict, context),
    state.panel.panel,
    ...(hidden ? [] : [judgmentView(verdict)]),
  );
  // What could not be saved is still there to be saved.
  if (typed !== undefined) byId("note").value = typed;
  byId("where").textContent = `${(place + 1).toLocaleString("en")} of ${total.toLocaleString("en")}`;
  byId("previous").disabled = place === 0;
  byId("next").disabled = place + 1 >= total;
  if (isSame && focused)
    (byId("record").querySelector(`[data-label="${CSS.escape(focused)}"]`) ?? byId(focused))?.focus();
}

async function goTo(place) {
  await state.panel?.keepNote();
  take(await ask(`record/${place}`));
  show("record");
  redrawRecord();
  byId("record-title").focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** After a verdict: on to the next record without one, or to the end. */
async function changed() {
  const { own, hidden } = state.looked;
  const { blind, next } = state.progress;
  if (own.verdict === null || (blind && !hidden) || !byId("goes-on").checked) return redrawRecord();
  say(`Record ${(state.looked.place + 1).toLocaleString("en")} is saved; u takes it back.`);
  return next === null ? showEnd() : goTo(next);
}

async function reveal() {
  await state.panel.keepNote();
  take(await ask("reveal", { place: state.looked.place }));
  redrawRecord();
  byId("judged-title").scrollIntoView();
}

async function takeBack() {
  await state.panel?.keepNote();
  const found = await ask("undo", {});
  if (!found.looked) return say("There is nothing to undo.");
  take(found);
  show("record");
  redrawRecord();
  return say("Undone.");
}

// ---- the end

function show(view) {
  byId("view-record").hidden = view !== "record";
  byId("view-end").hidden = view !== "end";
}

async function showEnd() {
  await state.panel?.keepNote();
  show("end");
  byId("agreement").replaceChildren(remark("Counting…"));
  byId("end-title").focus({ preventScroll: true });
  scrollTo(0, 0);
  const { warnings, tables } = await ask("agreement").catch((error) => ({ warnings: [error.message], tables: [] }));
  byId("agreement").replaceChildren(
    ...(state.progress.next === null ? [el("p", { class: "lead" }, "You have decided all records.")] : []),
    ...warnings.map((words) => el("p", { class: "notice" }, words)),
    ...tables.map(agreementTable),
  );
}

function agreementTable({ title, note, heads, rows }) {
  const cells = (row) => row.map((cell, at) => (at ? el("td", {}, cell) : el("th", { scope: "row" }, cell)));
  const headings = heads.map((head) => el("th", { scope: "col" }, head));
  return el(
    "section",
    { class: "agreement" },
    el("h2", {}, title),
    el(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-label": title },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, headings)),
        el(
          "tbody",
          {},
          rows.map((row) => el("tr", {}, cells(row))),
        ),
      ),
    ),
    note ? remark(note) : null,
  );
}

async function finish() {
  await ask("finish", {});
  removeEventListener("keydown", keyPressed);
  document.querySelector("header").hidden = true;
  byId("main").replaceChildren(
    el("h1", {}, "The review has ended"),
    el("p", {}, "Everything is saved. You can close this page."),
  );
}

// ---- keys and buttons

function step(by) {
  const place = state.looked.place + by;
  return place >= 0 && place < state.progress.total ? goTo(place) : undefined;
}

function toggleWords() {
  byId("words").hidden = !byId("words").hidden;
  byId("open-words").setAttribute("aria-expanded", String(!byId("words").hidden));
  if (!byId("words").hidden) scrollTo(0, 0);
}

function keyPressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input:not([type="checkbox"]), textarea')) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!byId("keys").checked || !state.looked) return;
  const inRecord = !byId("view-record").hidden;
  const acts = {
    "?": toggleWords,
    u: () => inTurn(takeBack),
    e: () => inTurn(showEnd),
    ...(inRecord && {
      ArrowRight: () => inTurn(() => step(1)),
      j: () => inTurn(() => step(1)),
      ArrowLeft: () => inTurn(() => step(-1)),
      k: () => inTurn(() => step(-1)),
      s: () => inTurn(reveal),
      n: () => byId("note").focus(),
    }),
  };
  if (event.key in acts) acts[event.key]();
  else if (inRecord && /^[0-9x]$/.test(event.key)) state.panel.decide(event.key);
  else return;
  event.preventDefault();
}

async function start() {
  take(await ask("session"));
  opinions.reviewer = state.progress.reviewer;
  byId("task").textContent = `You are ${opinions.reviewer}. ${QUESTIONS[state.progress.task]}`;
  const acts = {
    undo: takeBack,
    "to-end": showEnd,
    previous: () => step(-1),
    next: () => step(1),
    back: () => goTo(state.looked.place),
    finish,
  };
  for (const [id, act] of Object.entries(acts)) byId(id).addEventListener("click", () => inTurn(act));
  byId("open-words").addEventListener("click", toggleWords);
  addEventListener("keydown", keyPressed);
  await goTo(state.progress.next ?? 0);
}

inTurn(start);
