// Which records are in the list, and in which order.

// A search works so long before the page may do something else, and shows what it has found so often.
const SLICE_MS = 25;
const SHOWN_EVERY_MS = 300;

/** What each choice of "result" keeps. */
const RESULTS = {
  all: () => true,
  right: (record) => columns.correct[record] === true,
  wrong: (record) => columns.correct[record] === false,
  inconsistent: (record) => columns.consistent[record] === false,
  undecided: (record) => columns.state[record] === "undecided",
  invalid: (record) => columns.state[record] === "invalid",
};

/** What each choice of "mine" keeps. */
const MINE = {
  all: () => true,
  with: (record) => Boolean(opinionOn(record)?.verdict),
  without: (record) => isReviewable(record) && !opinionOn(record)?.verdict,
  noted: (record) => Boolean(opinionOn(record)?.note),
  against: (record) => Boolean(opinionOn(record)?.verdict) && opinionOn(record).verdict !== columns.verdict[record],
};

// While blind, only these are searched: who answered may stand in others.
const SHOWN = [
  "question",
  "protocol",
  "context",
  "reference",
  "answer",
  "answer_a",
  "answer_b",
  "steps",
  "rubric",
  "criteria",
];

/**
 * The records that the choices keep, unsorted. What would tell the judge's verdict is no choice while blind; what cannot be
 * decided on is left out then, and so is a record that another judge's verdicts have, too.
 */
function chosen({ set, category, verdict, result, mine }, blind) {
  const found = [];
  const names = new Set();
  for (let record = 0; record < total; record++) {
    if (set !== "" && columns.set[record] !== Number(set)) continue;
    if (category !== "" && (columns.category[record] ?? "") !== category.slice(1)) continue;
    if (!blind && verdict !== "" && columns.verdict[record] !== verdict) continue;
    if (!blind && !RESULTS[result](record)) continue;
    if (blind && (!isReviewable(record) || names.has(nameOf(record)))) continue;
    if (blind) names.add(nameOf(record));
    if (!(blind && mine === "against") && !MINE[mine](record)) continue;
    found.push(record);
  }
  return found;
}

/** The records in the order of a column; what has no value comes last either way. */
function sorted(records, { by, down }) {
  if (by === "place") return down ? records.toReversed() : records;
  const values =
    by === "mine"
      ? records.reduce((held, record) => held.set(record, opinionOn(record)?.verdict ?? null), new Map())
      : null;
  const value = (record) => (values ? values.get(record) : columns[by][record]);
  const direction = down ? -1 : 1;
  const collator = new Intl.Collator("en", { numeric: true });
  return records.toSorted((one, other) => {
    const [left, right] = [value(one), value(other)];
    if (left === right) return one - other;
    if (left === null || right === null) return left === null ? 1 : -1;
    const order = typeof left === "string" ? collator.compare(left, String(right)) : left - right;
    return direction * order || one - other;
  });
}

/**
 * Calls `found(matches, done)` with the records among `records` that hold the words, a slice of time after the other, until
 * all are searched or `isStale()`. The whole record is searched, and what the judge wrote unless `blind`.
 */
async function search(records, wanted, blind, isStale, found) {
  const needle = wanted.toLowerCase();
  const escaped = JSON.stringify(wanted).slice(1, -1).replaceAll("<", "\\u003c").toLowerCase();
  const wantedRecords = new Set(records);
  const matches = new Set();
  let since = performance.now();
  let shown = since;
  for (let chunk = 0; chunk < starts.length; chunk++) {
    if (chunks[chunk].textContent.toLowerCase().includes(escaped)) {
      verdictsOf(chunk).forEach((verdict, at) => {
        const record = starts[chunk] + at;
        if (wantedRecords.has(record) && holds(blind ? SHOWN.map((name) => verdict.record?.[name]) : verdict, needle))
          matches.add(record);
      });
    }
    if (performance.now() - since > SLICE_MS) {
      if (performance.now() - shown > SHOWN_EVERY_MS) {
        found(matches, false);
        shown = performance.now();
      }
      await new Promise((resume) => setTimeout(resume));
      if (isStale()) return;
      since = performance.now();
    }
  }
  found(matches, true);
}

/** Whether a text anywhere in a value holds the needle. */
function holds(value, needle) {
  if (typeof value === "string") return value.toLowerCase().includes(needle);
  if (!value || typeof value !== "object") return false;
  return Object.values(value).some((inner) => holds(inner, needle));
}
