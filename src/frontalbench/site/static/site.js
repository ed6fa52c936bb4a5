"use strict";
// Choices that show one of several parts. Without this script all parts are shown.
function frontalbenchSwitches() {
  for (const select of document.querySelectorAll("select[data-switch]")) {
    const parts = [...document.querySelectorAll("[data-part]")].filter((part) => part.dataset.part === select.dataset.switch);
    const show = () => parts.forEach((part) => { part.hidden = part.dataset.value !== select.value; });
    const wanted = decodeURIComponent(location.hash.slice(1));
    if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
    select.addEventListener("change", show);
    show();
  }
}

const frontalbenchNumber = (text) => parseFloat(text.replace(/\u2212/g, "-").replace(/[,%\s]/g, ""));
const frontalbenchOrder = (a, b) => {
  const [x, y] = [typeof a === "number" ? a : frontalbenchNumber(String(a)), typeof b === "number" ? b : frontalbenchNumber(String(b))];
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return String(a).localeCompare(String(b));
};

// A heading becomes a button that sorts; `sort` gets the column and 1 or -1.
function frontalbenchHeading(heading, column, sort) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    sort(column, direction);
  });
}

function frontalbenchSortable() {
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((heading, column) => frontalbenchHeading(heading, column, (at, direction) => {
      const rows = [...body.rows];
      rows.sort((a, b) => direction * frontalbenchOrder(a.cells[at].textContent.trim(), b.cells[at].textContent.trim()));
      body.append(...rows);
    }));
  }
}

// The table of all numbers: data/master.js holds the rows, only as many as are looked at become elements.
function frontalbenchNumbers() {
  const { columns, values } = window.FRONTALBENCH_MASTER;
  const step = 100;
  const table = document.getElementById("numbers");
  const form = document.getElementById("filters");
  const more = document.getElementById("more");
  const search = document.getElementById("filter-text");
  const selects = new Map();
  let rows = values;
  let shown = step;
  const text = (value, column) => value === null ? "" : value === true ? "yes" : value === false ? "no"
    : columns[column].number && !Number.isInteger(value) ? value.toFixed(4).replace("-", "\u2212") : String(value);
  for (const key of ["dataset", "variant", "detector", "backbone", "group", "subset"]) {
    const at = columns.findIndex((column) => column.key === key);
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.id = `filter-${key}`;
    label.htmlFor = select.id;
    label.textContent = key;
    select.append(new Option("all", ""), ...[...new Set(values.map((row) => row[at]))].map((value) => new Option(value, value)));
    select.addEventListener("change", refresh);
    document.getElementById("selects").append(label, " ", select, " ");
    selects.set(at, select);
  }
  const head = document.createElement("tr");
  table.tHead.append(head);
  columns.forEach((column, at) => {
    const heading = document.createElement("th");
    heading.scope = "col";
    heading.textContent = column.key;
    heading.title = column.text;
    if (column.number) heading.className = "num";
    head.append(heading);
    frontalbenchHeading(heading, at, (where, direction) => {
      values.sort((a, b) => a[where] === null ? 1 : b[where] === null ? -1 : direction * frontalbenchOrder(a[where], b[where]));
      refresh();
    });
  });
  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows = values.filter((row) => [...selects].every(([at, select]) => !select.value || row[at] === select.value)
      && words.every((word) => row.some((value) => typeof value === "string" && value.toLowerCase().includes(word))));
    shown = step;
    draw();
  }
  function draw() {
    table.tBodies[0].replaceChildren(...rows.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      row.forEach((value, at) => {
        const cell = document.createElement("td");
        cell.textContent = text(value, at);
        cell.dir = "auto";
        cell.dataset.label = columns[at].key;
        if (columns[at].number) cell.className = "num";
        if (["variant", "group", "mean", "ci_low", "ci_high"].includes(columns[at].key)) cell.classList.add("key");
        line.append(cell);
      });
      return line;
    }));
    document.getElementById("status").textContent = `${rows.length} of ${values.length} rows, ${Math.min(shown, rows.length)} shown`;
    more.hidden = shown >= rows.length;
  }
  more.addEventListener("click", () => { shown += 5 * step; draw(); });
  search.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("download").addEventListener("click", () => {
    // A cell that a spreadsheet would run as a formula gets a leading apostrophe.
    const quote = (value) => {
      const plain = value === null ? "" : value === true ? "yes" : value === false ? "no" : String(value);
      const safe = typeof value === "string" && /^[=+\-@]/.test(plain) ? `'${plain}` : plain;
      return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
    };
    const lines = [columns.map((column) => column.key), ...rows].map((row) => row.map(quote).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "frontalbench.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  form.hidden = false;
  refresh();
}

addEventListener("DOMContentLoaded", () => {
  frontalbenchSwitches();
  frontalbenchSortable();
  if (window.FRONTALBENCH_MASTER) frontalbenchNumbers();
});
