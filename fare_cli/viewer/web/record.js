// One record: what was asked and answered, with differences or steps marked.

let marksDifferences = true;

/** The parts of a record that the judge was shown, in order; `hidesJudge` leaves out what tells a verdict or who answered. */
function recordView(record, verdict, { hidesJudge, order }) {
  const given = verdict.record;
  if (!given) {
    return el(
      "p",
      { class: "notice" },
      "The texts of this record are not in the file: the verdicts were written with --no-record.",
    );
  }
  return el(
    "section",
    { class: "given", "aria-label": "The record" },
    el("h2", {}, "Question"),
    text(given.question ?? ""),
    optional("Instructions for this record", given.protocol),
    optional("Document that the answers must keep to", given.context),
    optional("A right answer, for comparison", given.reference),
    rubrics(given),
    { pairwise: pair, step: steps, verify: single, score: single }[verdict.task]?.(given, verdict, {
      hidesJudge,
      order,
    }),
  );
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

const optional = (title, content) =>
  content ? fold(title, String(asText(content)).length < 600, text(asText(content))) : null;

function rubrics(given) {
  const named = given.criteria
    ? Object.entries(given.criteria)
    : given.rubric
      ? [["What to score by", given.rubric]]
      : [];
  return named.map(([name, rubric]) =>
    fold(
      name,
      true,
      typeof rubric === "string"
        ? text(rubric)
        : el(
            "dl",
            { class: "levels" },
            Object.entries(rubric)
              .map(([score, words]) => [el("dt", {}, score), el("dd", { dir: "auto" }, words)])
              .flat(),
          ),
    ),
  );
}

const single = (given) => [el("h2", {}, "Answer"), text(asText(given.answer ?? "")), ...systemOf(given.system)];

const systemOf = (name) => (name ? [remark(`Answered by ${name}.`)] : []);

function pair(given, verdict, { hidesJudge, order }) {
  const [one, other] = order === "ba" ? ["B", "A"] : ["A", "B"];
  const texts = { A: asText(given.answer_a ?? ""), B: asText(given.answer_b ?? "") };
  const found = marksDifferences ? differences(texts[one], texts[other]) : null;
  const side = (label, place) =>
    el(
      "article",
      { class: `answer${!hidesJudge && verdict.verdict === label ? " preferred" : ""}` },
      el(
        "h2",
        {},
        hidesJudge ? ["First answer", "Second answer"][place] : `Answer ${label}`,
        ...(hidesJudge ? [] : tags(verdict, label)),
      ),
      found ? marked(found[place]) : text(texts[label]),
      ...(hidesJudge ? [] : systemOf(label === "A" ? given.system_a : given.system_b)),
    );
  const box = el("input", {
    type: "checkbox",
    id: "mark-differences",
    checked: marksDifferences,
    onchange: () => {
      marksDifferences = box.checked;
      redrawRecord();
    },
  });
  return [
    el(
      "p",
      { class: "choice" },
      box,
      el("label", { for: "mark-differences" }, " Mark the words in which the answers differ"),
    ),
    marksDifferences && !found ? remark("These answers have too few words in common for marks to help.") : null,
    el("div", { class: "beside" }, side(one, 0), side(other, 1)),
  ];
}

function tags(verdict, label) {
  const said = [];
  if (verdict.verdict === label) said.push("the judge prefers it");
  if (verdict.gold === label) said.push("known to be better");
  return said.map((words) => el("span", { class: "tag" }, words));
}

const marked = (pieces) =>
  el(
    "div",
    { class: "text", dir: "auto" },
    pieces.map(([same, piece]) => (same ? piece : el("mark", { class: "differs" }, piece))),
  );

/** The steps, the first wrong one marked; those after it were not looked at any more. */
function steps(given, verdict, { hidesJudge }) {
  const wrong = hidesJudge || verdict.step === null ? null : verdict.step;
  const gold = hidesJudge ? null : verdict.gold;
  const item = (content, number) => {
    const told = [];
    if (number === wrong) told.push("first wrong step, says the judge");
    if (number === gold) told.push("first wrong step, as is known");
    const share = hidesJudge ? null : verdict.probabilities?.[String(number)];
    return el(
      "li",
      {
        class:
          number === wrong
            ? "wrong-step"
            : number === gold
              ? "gold-step"
              : wrong !== null && wrong >= 0 && number > wrong
                ? "after"
                : "",
      },
      el(
        "div",
        { class: "step-name" },
        `Step ${number}`,
        ...told.map((words) => el("span", { class: "tag" }, words)),
        share >= 0.01 ? el("span", { class: "quiet" }, ` ${percent(share)}`) : null,
      ),
      text(content),
    );
  };
  const none = [
    wrong === -1 ? "The judge found no wrong step." : null,
    gold === -1 ? "It is known that no step is wrong." : null,
  ].filter(Boolean);
  return [
    el("h2", {}, "Solution, step by step"),
    none.length ? el("p", {}, none.join(" ")) : null,
    el("ol", { class: "steps", start: 0 }, given.steps.map(item)),
    ...(hidesJudge ? [] : systemOf(given.system)),
  ];
}
