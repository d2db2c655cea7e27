// The data that the page carries: `columns` has a short value a record, the whole verdicts are parsed when looked at.

const about = JSON.parse(byId("about").textContent);
const { columns, starts } = JSON.parse(byId("index").textContent);
const chunks = document.getElementsByClassName("chunk");
const total = columns.id.length;
const KEPT_CHUNKS = 4;
const parsed = new Map();

const setOf = (record) => about.sets[columns.set[record]];
const taskOf = (record) => setOf(record).task;

/** The number of the chunk that holds a record. */
function chunkOf(record) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= record) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** All verdicts of a chunk; the few that were looked at last stay parsed. */
function verdictsOf(chunk) {
  const held = parsed.get(chunk) ?? JSON.parse(chunks[chunk].textContent);
  parsed.delete(chunk);
  parsed.set(chunk, held);
  if (parsed.size > KEPT_CHUNKS) parsed.delete(parsed.keys().next().value);
  return held;
}

/** The whole verdict on a record, as docs/records.md describes it. */
function verdictOf(record) {
  const chunk = chunkOf(record);
  return verdictsOf(chunk)[record - starts[chunk]];
}

/** What stands in the list for the verdict of the judge. */
function verdictInWords(record) {
  if (columns.state[record] === "invalid") return "not judged";
  const expected = columns.expected[record];
  if (columns.verdict[record] === null && expected !== null) return `score ${expected.toFixed(2)}`;
  return inWords(taskOf(record), columns.verdict[record]);
}
