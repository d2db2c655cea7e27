// What the judge said of a record: its verdict in a sentence, its probabilities, and every text that it wrote.

/** The verdict in plain sentences. */
function sentences(verdict) {
  const said = [];
  if (verdict.status === "invalid")
    return [`This record could not be judged: ${verdict.error?.message ?? "no reason is given"}.`];
  const sure = verdict.confidence === null ? "" : ` It is ${percent(verdict.confidence)} sure.`;
  if (verdict.verdict === null && verdict.rule !== "mean_of_criteria")
    said.push("The judge gives no verdict: it contradicted itself when the answers changed places.");
  else if (verdict.task === "pairwise")
    said.push(
      `The judge ${verdict.verdict === "tie" ? "holds the answers equally good" : `prefers answer ${verdict.verdict}`}.${sure}`,
    );
  else if (verdict.task === "step")
    said.push(
      `The judge says: ${inWords("step", verdict.verdict)}${verdict.verdict === "-1" ? "" : ", and it is the first one"}.${sure}`,
    );
  else if (verdict.task === "verify")
    said.push(`The judge says that the answer is ${verdict.verdict === "yes" ? "right" : "wrong"}.${sure}`);
  else if (verdict.verdict !== null) said.push(`The judge gives the score ${verdict.verdict}.${sure}`);
  if (verdict.expected_score !== null)
    said.push(
      `Expected score: ${verdict.expected_score.toFixed(2)}, the mean of all scores by how probable it held them.`,
    );
  if (verdict.consistent === true) said.push("It said the same in both orders.");
  if (verdict.gold !== null) {
    const known = knownInWords(verdict.task, verdict.gold);
    const is =
      verdict.verdict === null ? "No verdict counts as wrong" : `The judge is ${verdict.correct ? "right" : "wrong"}`;
    said.push(verdict.correct === null ? known : `${known} ${is}.`);
  }
  return said;
}

/** Probabilities as rows of label, bar and number; a step's or score's label by itself. */
function probabilities(task, shares) {
  const rows = Object.entries(shares).filter(([, share]) => Object.keys(shares).length < 12 || share >= 0.0005);
  const hidden = Object.keys(shares).length - rows.length;
  return [
    el(
      "table",
      { class: "probabilities" },
      el(
        "tbody",
        {},
        rows.map(([label, share]) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, inWords(task, label)),
            el("td", {}, bar(share)),
            el("td", {}, percent(share)),
          ),
        ),
      ),
    ),
    hidden ? remark(`${count(hidden, "label", "labels")} below 0.05% ${hidden === 1 ? "is" : "are"} left out.`) : null,
  ];
}

function bar(share) {
  const made = el("span", { class: "bar", "aria-hidden": "true" });
  made.style.width = `${Math.round(120 * share)}px`;
  return made;
}

/** Everything the judge said of a record, in the order of reading. */
function judgmentView(verdict) {
  const own = verdict.judgments;
  return el(
    "section",
    { class: "judged", "aria-labelledby": "judged-title" },
    el("h2", { id: "judged-title" }, "What the judge said"),
    el(
      "p",
      { class: `outcome ${verdict.correct === null ? "" : verdict.correct ? "right" : "wrong"}` },
      sentences(verdict).join(" "),
    ),
    verdict.probabilities
      ? [el("h3", {}, "How it divided its belief"), ...probabilities(verdict.task, verdict.probabilities)]
      : null,
    Object.entries(verdict.criteria ?? {})
      .map(([name, one]) => [
        el(
          "h3",
          {},
          `${name}: score ${one.score}${one.expected_score === null ? "" : `, expected ${one.expected_score.toFixed(2)}`}`,
        ),
        ...(one.probabilities ? probabilities("score", one.probabilities) : []),
      ])
      .flat(),
    own.length
      ? el("h3", {}, own.length === 1 ? "How it got there" : `How it got there: asked ${own.length} times`)
      : null,
    el(
      "div",
      { class: own.length > 1 ? "beside" : "" },
      own.map((one) => judgment(verdict.task, one, own)),
    ),
  );
}

function judgment(task, one, all) {
  const title = [
    one.order === "ab" ? "Answer A shown first" : one.order === "ba" ? "Answer B shown first" : null,
    one.criterion,
    all.some((other) => other.vote > 0) ? `vote ${one.vote + 1}` : null,
  ]
    .filter(Boolean)
    .join(", ");
  const margin = one.margin === null ? "" : ` It was ahead of the next label by ${one.margin.toFixed(2)} nats.`;
  return el(
    "article",
    { class: "judgment" },
    title ? el("h4", {}, title) : null,
    one.reasoning ? fold("What it thought first", false, text(one.reasoning)) : null,
    one.reasoning_truncated ? remark("Its thinking was cut at its limit.") : null,
    one.critique ? text(one.critique) : remark("It was asked for the verdict alone, or wrote nothing before it."),
    one.truncated ? remark("This text was cut here: it had reached its limit.") : null,
    el("p", { class: "read-here" }, el("span", {}, "Verdict: "), el("mark", {}, one.label.trim())),
    remark(
      one.forced ? "The judge wrote no verdict line, so this one was put there. " : "",
      one.probabilities
        ? "The label was read at the marked place, from the probabilities that the judge had there"
        : "The label is what the judge wrote at the marked place; its server does not tell its probabilities",
      one.order === "ba" || one.label.trim() !== one.means ? `. It means ${inWords(task, one.means)}` : "",
      `.${margin}`,
    ),
    one.probabilities
      ? fold(
          "Its probabilities at that place",
          false,
          ...probabilities(one.order === "ba" ? "shown" : task, one.probabilities),
        )
      : null,
  );
}
