// Tables: sorted, filtered and with chosen columns by DataTables, all of it kept in the URL.
//   q: text that rows must hold; e, m: the evaluation and the metric whose tables are shown;
//   show, hide: columns other than at first; sort: TABLE.COLUMN.DIRECTION, several joined by ~
(() => {
  "use strict";
  const { state } = iibench;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const elements = all("table.sortable");
  const form = document.querySelector("form.tools");
  if (!elements.length || !form) return;
  elements.forEach((table, i) => { if (!table.id) table.id = `sortable-${i}`; });

  // ---- a cell in which several columns say one thing becomes a cell per column, which sorting needs
  const spread = (table) => {
    for (const cell of all("tbody [colspan]", table)) {
      for (let n = cell.colSpan; n > 1; n -= 1) cell.after(document.createElement(cell.tagName));
      cell.colSpan = 1;
      cell.classList.add("over");
    }
  };
  // ---- values to sort by; null is missing
  const value = (cell) => {
    if (!cell || cell.classList.contains("over")) return null;
    const text = cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
    if (text === "" || text === "–") return null;
    const number = Number(text.replace("−", "-").replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  const missingLast = (sign) => (a, b) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b));

  // ---- one table
  const slug = (text) => text.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const make = (table) => {
    spread(table);
    const heads = [...table.tHead.rows[0].cells];
    const columns = heads.map((head, i) => ({
      key: head.dataset.key || `${slug(head.textContent)}-${i}`,
      label: (head.querySelector("button") || head.firstChild || head).textContent.trim().replace(/\s+/g, " "),
      extra: head.classList.contains("extra"),
      empty: head.classList.contains("none"),
    }));
    const many = table.tBodies[0].rows.length > 100;
    const api = new window.DataTable(table, {
      paging: many, pageLength: 100, info: false, autoWidth: false, order: [],
      ordering: { handler: false, indicators: false },
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: many ? "paging" : null },
      columns: columns.map((column) => ({
        name: column.key, orderDataType: "iibench", type: "iibench", visible: !column.extra,
        searchable: column.key !== "units",
      })),
      language: { zeroRecords: "No row of this table holds the text.", emptyTable: "No rows." },
    });
    table.classList.add("ready");
    heads.forEach((head, i) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", (event) => sortBy({ table, api, columns }, i, event.shiftKey));
    });
    return { table, api, columns, heads };
  };
  let made = [];

  // ---- sorting: down, up, and back to the order of the page; shift adds a column
  const first = (entry, i) => {
    const known = entry.api.column(i).nodes().toArray().map(value).find((v) => v !== null);
    return typeof known === "string" ? "asc" : "desc";
  };
  const sortBy = (entry, i, add) => {
    const before = entry.api.order().find(([column]) => column === i);
    const start = first(entry, i);
    const next = !before ? start : before[1] === start ? (start === "asc" ? "desc" : "asc") : null;
    const others = add ? entry.api.order().filter(([column]) => column !== i) : [];
    entry.api.order(next ? [...others, [i, next]] : others).draw();
    mark(entry);
    const sorts = made.map(({ table, api, columns }) => api.order().length
      && [table.id, ...api.order().flatMap(([c, d]) => [columns[c].key, d])].join("."));
    state.set("sort", sorts.filter(Boolean).join("~") || null, true);
    report();
  };
  const mark = ({ api }) => {
    const order = api.order();
    [...api.columns().header().toArray()].forEach((head, i) => {
      const at = order.find(([column]) => column === i);
      if (at) head.setAttribute("aria-sort", at[1] === "asc" ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  };

  // ---- what the URL says
  const list = (key) => (state.get(key) || "").split("~").filter(Boolean);
  const apply = () => {
    const [show, hide] = [new Set(list("show")), new Set(list("hide"))];
    const sorts = new Map(list("sort").map((text) => {
      const [table, ...rest] = text.split(".");
      return [table, rest];
    }));
    const q = state.get("q") || "";
    for (const entry of made) {
      const { table, api, columns } = entry;
      const at = new Map(columns.map((column, i) => [column.key, i]));
      const words = sorts.get(table.id) || [];
      const order = [];
      for (let i = 0; i + 1 < words.length; i += 2) {
        if (at.has(words[i]) && ["asc", "desc"].includes(words[i + 1])) order.push([at.get(words[i]), words[i + 1]]);
      }
      api.order(order);
      if (table.matches(".board")) api.search(q);
      if (table.hasAttribute("data-chosen-columns")) {
        columns.forEach((column, i) => {
          const visible = show.has(column.key) || (!column.extra && !hide.has(column.key));
          if (api.column(i).visible() !== visible) api.column(i).visible(visible, false);
        });
      }
      api.draw();
      mark(entry);
    }
    narrow();
    reflect(q, show, hide);
    report();
  };
  // views of other evaluations and metrics are hidden
  const views = all("[data-evaluation]");
  const narrow = () => {
    const [e, m] = [state.get("e"), state.get("m")];
    for (const view of views) {
      view.hidden = Boolean((e && view.dataset.evaluation !== e) || (m && view.dataset.metric !== m));
      if (!view.hidden && m && view.tagName === "DETAILS") view.open = true;
    }
    for (const family of all("section.family")) {
      const within = all("[data-evaluation]", family);
      family.hidden = within.length > 0 && within.every((view) => view.hidden);
    }
  };

  // ---- the controls
  const { q, e, m } = form.elements;
  const fill = (select, values) => {
    if (values.length < 2) return;
    select.append(...values.map((text) => new Option(text, text)));
    select.parentElement.hidden = false;
  };
  const unique = (values) => [...new Set(values.filter(Boolean))];
  fill(e, unique(views.map((view) => view.dataset.evaluation)));
  fill(m, unique(views.map((view) => view.dataset.metric)));
  const menu = form.querySelector(".menu");
  const boxes = new Map();
  const offerColumns = () => {
    for (const { table, columns } of made.filter(({ table }) => table.hasAttribute("data-chosen-columns"))) {
      columns.slice(1).forEach((column) => {
        if (boxes.has(column.key)) return;
        const label = document.createElement("label");
        const box = document.createElement("input");
        box.type = "checkbox";
        box.addEventListener("change", () => choose(column, box.checked));
        label.append(box, ` ${column.label}`);
        menu.querySelector("fieldset").append(label);
        boxes.set(column.key, { box, column });
      });
      if (table) menu.hidden = false;
    }
  };
  const choose = (column, shown) => {
    const [show, hide] = [new Set(list("show")), new Set(list("hide"))];
    show.delete(column.key);
    hide.delete(column.key);
    if (shown && (column.extra)) show.add(column.key);
    if (!shown && !column.extra) hide.add(column.key);
    state.set("show", [...show].join("~") || null, true);
    state.set("hide", [...hide].join("~") || null);
    apply();
  };
  const reflect = (text, show, hide) => {
    if (q.value !== text) q.value = text;
    for (const select of [e, m]) select.value = state.get(select.name) || "";
    for (const [key, { box, column }] of boxes) box.checked = show.has(key) || (!column.extra && !hide.has(key));
  };
  const reset = form.querySelector(".reset");
  const status = form.querySelector(".status");
  const report = () => {
    reset.disabled = !state.keys().some((key) => key !== "theme");
    const seen = made.filter(({ table }) => table.matches(".board") && !table.closest("[hidden]"));
    const rows = seen.reduce((sum, { api }) => sum + api.rows({ search: "applied" }).count(), 0);
    const every = seen.reduce((sum, { api }) => sum + api.rows().count(), 0);
    status.textContent = q.value ? `${rows} of ${every} rows` : "";
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  q.addEventListener("input", () => { state.set("q", q.value.trim()); apply(); });
  for (const select of [e, m]) {
    select.addEventListener("change", () => { state.set(select.name, select.value, true); apply(); });
  }
  reset.addEventListener("click", () => state.reset());
  document.addEventListener("iibench:state", apply);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });

  // ---- the library comes after the page can be read
  const start = () => {
    const { ext } = window.DataTable;
    ext.errMode = "throw";
    ext.order.iibench = (settings, i) =>
      new window.DataTable.Api(settings).column(i, { order: "index" }).nodes().toArray().map(value);
    ext.type.order["iibench-asc"] = missingLast(1);
    ext.type.order["iibench-desc"] = missingLast(-1);
    made = elements.map(make);
    offerColumns();
    form.hidden = false;
    apply();
    document.documentElement.dataset.tables = "ready";
  };
  iibench.library("tables.js").then(start, (error) => {
    document.documentElement.dataset.tables = "plain";
    const text = document.createElement("p");
    text.className = "info";
    text.textContent = `Tables cannot be sorted here: ${error.message}.`;
    form.before(text);
  });
  narrow();
})();
