// The person's own verdict on a record: buttons, one key each, a note, undo.

/** The choices for a record, in the order of their keys: { label, words, key }. */
function choicesFor(verdict, order, isBlind) {
  const { task, record } = verdict;
  if (task === "pairwise") {
    const [one, other] = order === "ba" ? ["B", "A"] : ["A", "B"];
    const name = (label, place) =>
      isBlind ? ["First answer is better", "Second answer is better"][place] : `Answer ${label} is better`;
    return [
      { label: one, words: name(one, 0), key: "1" },
      { label: other, words: name(other, 1), key: "2" },
      { label: "tie", words: "Equally good", key: "0" },
    ];
  }
  if (task === "verify")
    return [
      { label: "yes", words: "Right", key: "1" },
      { label: "no", words: "Wrong", key: "0" },
    ];
  if (task === "step") {
    const named = record.steps.map((_, number) => ({
      label: String(number),
      words: `Step ${number}`,
      key: number < 10 ? String(number) : null,
    }));
    return [{ label: "-1", words: "No step is wrong", key: "x" }, ...named];
  }
  const [low, high] = record.scale ?? [1, 5];
  return Array.from({ length: high - low + 1 }, (_, at) => low + at).map((score) => ({
    label: String(score),
    words: String(score),
    key: score >= 0 && score < 10 ? String(score) : null,
  }));
}

const QUESTIONS = {
  pairwise: "Which answer is better?",
  verify: "Is the answer right?",
  step: "Which step is the first wrong one?",
  score: "Which score does the answer deserve?",
};

/** The panel; `changed` is called after every verdict that was kept, and `reveal` where the judge's may be looked at.
 * `think` and `changed` may take their time, and `think` throw where nothing was kept: `attempt` runs what a person's hand
 * began. */
function reviewPanel(record, verdict, { blind, hidesJudge, order, changed, reveal, attempt = (work) => work() }) {
  const opinion = opinionOn(record);
  const choices = choicesFor(verdict, order, hidesJudge);
  const decide = async (label) => {
    if (!hasName()) return;
    const own = opinionOn(record);
    await think(record, { verdict: own?.verdict === label ? null : label, note: note.value }, { blind, order });
    say(own?.verdict === label ? "Taken back." : `Your verdict: ${choices.find((one) => one.label === label).words}.`);
    // Awaited: the next key counts only when what this one leads to is there.
    await changed();
  };
  const note = el("textarea", { id: "note", rows: 3, maxlength: 20000, onchange: () => attempt(keepNote) });
  note.value = opinion?.note ?? "";
  const keepNote = async () => {
    const own = opinionOn(record);
    if (note.value === (own?.note ?? "") || !hasName()) return;
    await think(record, { verdict: own?.verdict ?? null, note: note.value }, { blind, order });
    say("The note is kept.");
    showOpinions();
  };
  const panel = el(
    "section",
    { class: "review", "aria-labelledby": "review-title" },
    el("h2", { id: "review-title" }, `Your verdict: ${QUESTIONS[verdict.task].toLowerCase()}`),
    el(
      "div",
      { class: "choices", role: "group", "aria-labelledby": "review-title" },
      choices.map(({ label, words: shown, key }) =>
        el(
          "button",
          {
            type: "button",
            "data-label": label,
            "aria-pressed": String(opinion?.verdict === label),
            onclick: () => attempt(() => decide(label)),
          },
          shown,
          key === null ? null : el("kbd", {}, key),
        ),
      ),
    ),
    el("label", { for: "note" }, "Note (why, or what is odd here)"),
    note,
    hidesJudge && opinion?.verdict
      ? el(
          "p",
          {},
          el("button", { type: "button", class: "plain", onclick: reveal }, "Show what the judge said"),
          remark("After that, a change of your verdict no longer counts as blind."),
        )
      : null,
  );
  return {
    panel,
    keepNote,
    decide: (key) => choices.filter((one) => one.key === key).forEach((one) => attempt(() => decide(one.label))),
  };
}

/** Whether the person has a name; asks for one where not. */
function hasName() {
  if (opinions.reviewer) return true;
  byId("reviewer").focus();
  say("Please write your name first, at the top of the page: it goes with your verdicts.");
  return false;
}

/** Takes the last verdict or note back and gives the record that it was on; undefined where there is none. */
function undo(contextOf) {
  const last = opinions.undo.pop();
  if (!last) return say("There is nothing to undo.");
  think(last.record, { verdict: last.verdict, note: last.note }, contextOf(last.record), false);
  say("Undone.");
  return last.record;
}
