// Tables sort by the column whose title is pressed: upwards first, then downwards; empty cells stay last.
const compareCells = (a, b) => {
  const numbers = [Number(a), Number(b)];
  return numbers.some(Number.isNaN) ? a.localeCompare(b, "en", { numeric: true }) : numbers[0] - numbers[1];
};

const sortTable = (table, column) => {
  const titles = [...table.tHead.rows[0].cells];
  const down = titles[column].getAttribute("aria-sort") === "ascending";
  titles.forEach((title) => title.removeAttribute("aria-sort"));
  titles[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.cells[column].dataset.value;
  const rows = [...table.tBodies[0].rows];
  const known = rows.filter((row) => value(row) !== undefined);
  known.sort((a, b) => (down ? -1 : 1) * compareCells(value(a), value(b)));
  table.tBodies[0].append(...known, ...rows.filter((row) => value(row) === undefined));
};

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((title, column) => {
    title.querySelector("button").addEventListener("click", () => sortTable(table, column));
  });
}
