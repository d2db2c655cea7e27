// The list of records. Only the rows in sight exist; a tall empty element gives the scroll bar its length.

const ROW = 36;
const SPARE = 8;

class RecordList {
  /** `cells(record)` gives the cells of a row, `open(position)` is called for the row that was chosen. */
  constructor(grid, cells, open) {
    this.grid = grid;
    this.body = grid.querySelector(".rows");
    this.cells = cells;
    this.open = open;
    this.records = [];
    this.at = 0;
    this.grid.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.grid);
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => {
      this.open(Math.floor((event.clientY - this.body.getBoundingClientRect().top) / ROW));
    });
  }

  /** Shows other records; the row of the record that was current stays current where it is still there. */
  show(records) {
    const before = this.records[this.at];
    this.records = records;
    this.at = Math.max(0, records.indexOf(before));
    this.body.style.height = `${records.length * ROW}px`;
    this.grid.setAttribute("aria-rowcount", records.length + 1);
    this.redraw();
  }

  /** How many pixels of rows are in sight: the heading, as tall as a row, stays above them. */
  sight() {
    return Math.max(0, this.grid.clientHeight - ROW);
  }

  /** Draws all rows anew: what stands in them has changed. */
  redraw() {
    this.body.replaceChildren();
    this.draw();
  }

  /** Makes the rows in sight, and takes the others away. */
  draw() {
    const first = Math.max(0, Math.floor(this.grid.scrollTop / ROW) - SPARE);
    const last = Math.min(this.records.length, Math.ceil((this.grid.scrollTop + this.sight()) / ROW) + SPARE);
    const there = new Map([...this.body.children].map((row) => [Number(row.dataset.position), row]));
    for (const [position, row] of there) if (position < first || position >= last) row.remove();
    const missing = [];
    for (let position = first; position < last; position++) if (!there.has(position)) missing.push(this.row(position));
    this.body.append(...missing);
    const current = byId(`row-${this.at}`);
    if (current) this.grid.setAttribute("aria-activedescendant", current.id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  row(position) {
    const made = el(
      "div",
      {
        role: "row",
        id: `row-${position}`,
        "data-position": position,
        "aria-rowindex": position + 2,
        "aria-selected": String(position === this.at),
      },
      this.cells(this.records[position]),
    );
    made.style.top = `${position * ROW}px`;
    return made;
  }

  /** Makes a row the current one and brings it into sight. */
  go(position) {
    byId(`row-${this.at}`)?.setAttribute("aria-selected", "false");
    this.at = Math.max(0, Math.min(this.records.length - 1, position));
    byId(`row-${this.at}`)?.setAttribute("aria-selected", "true");
    const top = this.at * ROW;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top + ROW > this.grid.scrollTop + this.sight()) this.grid.scrollTop = top + ROW - this.sight();
    this.draw();
  }

  key(event) {
    if (event.target !== this.grid) return;
    const page = Math.max(1, Math.floor(this.sight() / ROW) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) this.go(this.at + moves[event.key]);
    else if (event.key === "Enter" && this.records.length) this.open(this.at);
    else return;
    event.preventDefault();
  }
}
