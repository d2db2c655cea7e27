// Labels in words.

/** A label in words, as it means for the record; "shown": of a pair whose answer B was shown to the judge as A. */
function inWords(task, label) {
  if (label === null || label === undefined) return "no verdict";
  if (task === "pairwise") return label === "tie" ? "a tie" : `answer ${label}`;
  if (task === "shown")
    return label === "tie" ? "a tie" : `answer ${label === "A" ? "B, shown first" : "A, shown second"}`;
  if (task === "step") return String(label) === "-1" ? "no step is wrong" : `step ${label} is wrong`;
  if (task === "verify") return label;
  return `score ${label}`;
}

/** What is known of a record, as a sentence. */
function knownInWords(task, gold) {
  if (task === "pairwise")
    return gold === "tie" ? "Known: both answers are equally good." : `Known: answer ${gold} is better.`;
  if (task === "step") return gold === -1 ? "Known: no step is wrong." : `Known: step ${gold} is the first wrong one.`;
  if (task === "verify") return `Known: the answer is ${gold === "yes" ? "right" : "wrong"}.`;
  return `Known: the score is ${gold}.`;
}
