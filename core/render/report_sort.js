// The table of modules, sorted by the column whose heading is pressed; pressed again, the other way.
for (const table of document.querySelectorAll(".report .modules")) {
  const body = table.tBodies[0];
  const names = new Intl.Collator("en", { numeric: true });

  // Numbers by size, other text by its words; what has no number comes last either way.
  const order = (a, b, down) => {
    const [x, y] = [Number(a), Number(b)];
    if (a === "–" || b === "–") return (a === "–") - (b === "–");
    return (Number.isNaN(x + y) ? names.compare(a, b) : x - y) * (down ? -1 : 1);
  };

  const sort = (heading, column) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = Array.from(body.rows, (row) => [row.cells[column].textContent, row]);
    rows.sort(([a], [b]) => order(a, b, down));
    body.append(...rows.map(([, row]) => row));
  };

  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sort(heading, column));
    heading.replaceChildren(button);
  });
}
