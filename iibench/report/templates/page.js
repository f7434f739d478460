(() => {
  "use strict";
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const print = matchMedia("print");

  // ---- plots: colours are tokens (@c0, @fg/0.4) that stand for the theme's colours
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const colour = (token) => {
    const [name, opacity] = token.slice(1).split("/");
    const hex = css(name);
    if (opacity === undefined) return hex;
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${r},${g},${b},${opacity})`;
  };
  const themed = (value, key) => {
    if (Array.isArray(value)) return typeof value[0] === "object" ? value.map((v) => themed(v, key)) : value.slice();
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v, k)]));
    }
    const isColour = (key === "color" || key === "fillcolor") && typeof value === "string";
    return isColour && value.startsWith("@") ? colour(value) : value;
  };
  const axis = (given, narrow) => ({
    gridcolor: css("line"), linecolor: css("muted"), automargin: true, ...given,
    title: { standoff: 12, ...(given && given.title), font: { size: narrow ? 12 : 13 } },
  });
  const draw = (element) => {
    if (!window.Plotly) return;
    const { data, layout } = themed(payload.plots[element.id]);
    const narrow = element.clientWidth < 480;
    const full = {
      ...layout,
      height: layout.height + (narrow && data.some((t) => t.showlegend !== false && t.mode === "lines+markers") ? 120 : 0),
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: narrow ? 11 : 12, color: css("fg") },
      margin: { l: 10, r: 10, t: 10, b: 10, pad: 2 },
      legend: { orientation: "h", yanchor: "top", y: -0.2, x: 0, ...layout.legend },
      hoverlabel: { font: { family: "system-ui, sans-serif" } },
      xaxis: axis(layout.xaxis, narrow), yaxis: axis(layout.yaxis, narrow), dragmode: false,
    };
    const options = { responsive: true, displaylogo: false, displayModeBar: false };
    element.dataset.asked = "yes"; // a change of theme while it is drawn must draw it again
    Plotly.react(element, data, full, options).then(() => { element.dataset.drawn = "yes"; });
  };
  const plots = [...document.querySelectorAll(".plot")];
  const redraw = () => plots.filter((p) => p.dataset.asked).forEach(draw);
  if (window.Plotly) {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
      }
    }, { rootMargin: "800px" });
    plots.forEach((plot) => near.observe(plot));
    dark.addEventListener("change", redraw);
    print.addEventListener("change", redraw);
    addEventListener("beforeprint", () => plots.filter((p) => p.clientWidth).forEach(draw));
  } else {
    plots.forEach((plot) => { plot.textContent = "The plot needs plotly.min.js, which lies beside this page."; });
  }

  // ---- tables: a click on a heading sorts; rows without a value stay last
  const value = (row, column) => {
    const cell = row.children[column];
    if (!cell || cell.colSpan > 1) return "";
    return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
  };
  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row, value(row, column)]);
    const numeric = rows.every(([, v]) => v === "" || !Number.isNaN(Number(v.replace("−", "-"))));
    const compare = numeric
      ? (a, b) => Number(a.replace("−", "-")) - Number(b.replace("−", "-"))
      : (a, b) => a.localeCompare(b, "en", { numeric: true });
    rows.sort(([, a], [, b]) => (a === "") - (b === "") || (a === "" ? 0 : direction * compare(a, b)));
    rows.forEach(([row]) => body.append(row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") === "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        sort(table, column, up ? 1 : -1);
      });
    });
  }

  // ---- most activating images: one score, two methods side by side
  const unique = (values) => [...new Set(values)];
  const fill = (select, values, chosen) => {
    select.replaceChildren(...values.map((text) => new Option(text, text, false, text === chosen)));
  };
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const shown = (x) => x.toFixed(Math.abs(x) < 0.01 && x !== 0 ? 6 : 4).replace("-", "−");
  const quantile = (q) => ({ 0: "lowest", 0.5: "median", 1: "highest" }[q] || `${q} quantile`);
  const unitRow = (entry, unit) => {
    const row = make("div", "unit");
    const about = make("div", "about");
    about.append(make("b", "", shown(unit.score)), make("span", "", quantile(unit.q)), make("span", "", `unit ${unit.unit}`));
    const images = make("div", "images");
    unit.images.forEach((at, rank) => {
      const image = make("img");
      image.src = payload.images[at];
      image.alt = `${entry.finder}, unit ${unit.unit}, image ${rank + 1} of ${unit.images.length}`;
      images.append(image);
    });
    row.append(about, images);
    return row;
  };
  for (const gallery of document.querySelectorAll(".gallery")) {
    const entries = payload.galleries[gallery.dataset.place];
    const measure = gallery.querySelector(".measure");
    const panels = [...gallery.querySelectorAll(".panel")];
    const show = (panel) => {
      const finder = panel.querySelector(".finder").value;
      const entry = entries.find((e) => e.finder === finder && e.measure === measure.value);
      panel.querySelector(".units").replaceChildren(...(entry ? entry.units.map((u) => unitRow(entry, u)) : []));
    };
    const offer = (first) => {
      const finders = unique(entries.filter((e) => e.measure === measure.value).map((e) => e.finder));
      const others = finders.filter((f) => f !== payload.baseline);
      panels.forEach((panel, i) => {
        const select = panel.querySelector(".finder");
        const wanted = first ? [payload.baseline, payload.alternative][i] : select.value;
        const fallback = (i === 0 ? finders : others)[0] || finders[0];
        fill(select, finders, finders.includes(wanted) ? wanted : fallback);
        show(panel);
      });
    };
    fill(measure, unique(entries.map((e) => e.measure)));
    measure.addEventListener("change", () => offer(false));
    panels.forEach((panel) => panel.querySelector(".finder").addEventListener("change", () => show(panel)));
    offer(true);
  }
})();
