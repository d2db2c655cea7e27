// Which words two texts have in common: Myers' O(ND) algorithm (1986), with a bound on what it may cost.

// Differing words before the rest counts as different. The work is at most the square of it: 2 million steps, some 20 ms.
const MOST_DIFFERENCES = 1400;
const LEAST_IN_COMMON = 0.2;

const words = (content) => content.match(/\p{L}[\p{L}\p{M}\p{N}'’_]*|\p{N}+|\s+|[^]/gu) ?? [];

/**
 * The two texts as [[same, piece], ...] each; null where they differ too much for marks to help.
 */
function differences(first, second) {
  const [one, other] = [words(first), words(second)];
  const common = sharedWords(one, other);
  if (common === null) return null;
  const visible = (pieces) => pieces.filter((piece) => piece.trim()).length;
  const same = common.first.reduce((sum, is, at) => sum + (is && one[at].trim() ? 1 : 0), 0);
  if (2 * same < LEAST_IN_COMMON * (visible(one) + visible(other))) return null;
  return [joined(one, common.first), joined(other, common.second)];
}

/** Neighbours of one kind as one piece. White space between two changed words goes with them. */
function joined(pieces, same) {
  const found = [];
  pieces.forEach((piece, at) => {
    const between = !piece.trim() && at > 0 && !same[at - 1] && at + 1 < pieces.length && !same[at + 1];
    const is = same[at] && !between;
    if (found.length && found[found.length - 1][0] === is) found[found.length - 1][1] += piece;
    else found.push([is, piece]);
  });
  return found;
}

/** For every word of either text whether it is in the longest common subsequence; null where that costs too much. */
function sharedWords(one, other) {
  const same = { first: new Array(one.length).fill(false), second: new Array(other.length).fill(false) };
  const shortest = Math.min(one.length, other.length);
  let start = 0;
  while (start < shortest && one[start] === other[start]) start++;
  let end = 0;
  while (end < shortest - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end++;
  same.first.fill(true, 0, start).fill(true, one.length - end);
  same.second.fill(true, 0, start).fill(true, other.length - end);
  const path = shortestEdit(one.slice(start, one.length - end), other.slice(start, other.length - end));
  if (path === null) return null;
  for (const [x, y] of path) {
    same.first[start + x] = true;
    same.second[start + y] = true;
  }
  return same;
}

/** The matching positions [x, y] of a shortest edit, or null. */
function shortestEdit(one, other) {
  const [width, height] = [one.length, other.length];
  const most = Math.min(width + height, MOST_DIFFERENCES);
  const reach = new Int32Array(2 * most + 3);
  const offset = most + 1;
  const earlier = [];
  for (let edits = 0; edits <= most; edits++) {
    earlier.push(reach.slice(offset - edits - 1, offset + edits + 2));
    for (let line = -edits; line <= edits; line += 2) {
      const down = line === -edits || (line !== edits && reach[offset + line - 1] < reach[offset + line + 1]);
      let x = down ? reach[offset + line + 1] : reach[offset + line - 1] + 1;
      while (x < width && x - line < height && one[x] === other[x - line]) x++;
      reach[offset + line] = x;
      if (x >= width && x - line >= height) return wayBack(earlier, width, height);
    }
  }
  return null;
}

function wayBack(earlier, width, height) {
  const matches = [];
  let [x, y] = [width, height];
  for (let edits = earlier.length - 1; edits >= 0; edits--) {
    const reach = earlier[edits];
    const at = (line) => reach[line + edits + 1];
    const line = x - y;
    const down = line === -edits || (line !== edits && at(line - 1) < at(line + 1));
    const before = down ? line + 1 : line - 1;
    const [fromX, fromY] = edits === 0 ? [0, 0] : [at(before), at(before) - before];
    while (x > fromX && y > fromY && x > 0 && y > 0) matches.push([--x, --y]);
    [x, y] = [fromX, fromY];
  }
  return matches;
}
