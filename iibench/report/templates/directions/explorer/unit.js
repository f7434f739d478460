// The page of a unit, at #unit/PLACE/FINDER/UNIT: images, responses, scores, trials.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const { iibench } = window;
  const { index, number, short, count, make, picture, units, link, near, failed } = iibench.units;
  const main = document.querySelector("main");
  if (!main || !Object.keys(index.places).length) return;
  const view = make("article", "unit-page");
  view.hidden = true;
  main.append(view);

  const to = (href, text) => {
    const made = make("a", "", text);
    made.href = href;
    return made;
  };

  // ---- images, large
  const large = (place, images, words) => {
    const part = make("section");
    part.append(make("h2", "", words));
    const list = make("div", "large");
    images.forEach(([image, response], rank) => {
      const figure = make("figure");
      figure.append(picture(place.dataset, image, `response ${short(response)}`), make("figcaption", "", `${rank + 1}: ${short(response)}`));
      list.append(figure);
    });
    part.append(images.length ? list : make("p", "info", "Not on record in this run."));
    return part;
  };

  // ---- responses to all images
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const plot = (element, histogram, logarithmic) => {
    const { counts, low, high } = histogram;
    const width = (high - low) / counts.length;
    const edges = Array.from({ length: counts.length + 1 }, (_, i) => low + i * width);
    const axis = { gridcolor: css("line"), linecolor: css("muted"), zeroline: false, automargin: true };
    const data = [{
      type: "bar",
      x: edges.slice(0, -1).map((edge) => edge + width / 2),
      y: Array.from(counts),
      width: Array(counts.length).fill(width || 1),
      customdata: edges.slice(0, -1).map((edge, i) => `${short(edge)} to ${short(edges[i + 1])}`),
      hovertemplate: "%{customdata}: %{y} images<extra></extra>",
      marker: { color: css("c0") },
    }];
    const n = counts.reduce((sum, value) => sum + value, 0);
    const layout = {
      height: 300, bargap: 0, showlegend: false, dragmode: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: element.clientWidth < 480 ? 11 : 12, color: css("fg") },
      margin: { l: 10, r: 10, t: 10, b: 10, pad: 2 },
      xaxis: { ...axis, title: { text: "response (activation along the direction)", standoff: 12, font: { size: 12 } } },
      yaxis: { ...axis, type: logarithmic ? "log" : "linear", title: { text: `images (n = ${n.toLocaleString("en")})`, standoff: 12, font: { size: 12 } } },
    };
    return window.Plotly.react(element, data, layout, { responsive: true, displaylogo: false, displayModeBar: false })
      .then(() => { element.dataset.drawn = "yes"; });
  };
  const save = (name, lines) => {
    const to = make("a");
    to.href = URL.createObjectURL(new Blob([lines.join("\n"), "\n"], { type: "text/csv" }));
    to.download = name;
    to.click();
    setTimeout(() => URL.revokeObjectURL(to.href), 10000);
  };
  let redraw = () => {}; // draws the histogram that is shown again
  const responses = (finder, unit) => {
    const part = make("section");
    part.append(make("h2", "", "Responses to all images"));
    const histogram = finder.histogram(unit);
    if (!histogram) {
      part.append(make("p", "info", "The responses to all images are not on record in this run."));
      return part;
    }
    const facts = make("p");
    const [sparse, share] = [finder.sparseness(), finder.positive()].map((values) => (values ? values[unit] : NaN));
    facts.textContent = `From ${short(histogram.low)} to ${short(histogram.high)}; ${number(share * 100, 1)} % of the images have a response above zero. `
      + `Lifetime sparseness ${number(sparse, 3)}${Number.isNaN(sparse) ? " (no response is above zero)" : " (0: equal responses to all images, 1: a response to a single one)"}.`;
    const figure = make("figure");
    const chart = make("div", "histogram");
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `histogram of the responses of unit ${unit} to all images`);
    const controls = make("p", "controls");
    const label = make("label");
    const tick = make("input");
    tick.type = "checkbox";
    label.append(tick, " logarithmic counts");
    const download = make("button", "", "Data (CSV)");
    download.type = "button";
    controls.append(label, " ", download);
    figure.append(chart, make("figcaption", "", "How many images have which response: a selective unit has a long thin tail to the right, where its most activating images are."), controls);
    part.append(facts, figure);
    const draw = () => plot(chart, histogram, tick.checked);
    near(chart, () => iibench.library("plotly.min.js").then(draw)
      .then(() => { redraw = draw; }, (error) => failed(chart, error)));
    tick.addEventListener("change", () => redraw());
    download.addEventListener("click", () => {
      const step = (histogram.high - histogram.low) / histogram.counts.length;
      const lines = Array.from(histogram.counts, (value, i) => [histogram.low + i * step, histogram.low + (i + 1) * step, value].join(","));
      save(`unit-${unit}-responses.csv`, ["low,high,images", ...lines]);
    });
    return part;
  };

  // ---- scores, with the unit's place among the finder's units
  // the name as a link to its card, where the page has one
  const carded = (kind, label) => {
    const id = `card/${kind}/${label}`;
    return document.getElementById(id) ? to(`#card/${kind}/${encodeURIComponent(label)}`, label) : label;
  };
  const line = (finder, measure, m, unit) => {
    const item = make("tr");
    const values = finder.scores(m);
    const value = values ? values[unit] : NaN;
    const [name, metric] = [make("th", "text"), make("td", "text")];
    name.scope = "row";
    name.append(carded("evaluation", measure.evaluation));
    metric.append(carded("metric", measure.metric));
    item.append(name, metric);
    if (Number.isNaN(value)) {
      const cell = make("td", "text missing", finder.reason(m, unit));
      cell.colSpan = 3;
      item.append(make("td", "", "–"), cell);
      return item;
    }
    let [n, better, same] = [0, 0, 0];
    for (const other of values) {
      if (Number.isNaN(other)) continue;
      n += 1;
      if (other > value) better += 1;
      else if (other === value) same += 1;
    }
    const rank = same > 1 ? `${better + 1}–${better + same}` : String(better + 1);
    const below = n - better - same + (same - 1) / 2;
    item.append(make("td", "", number(value, measure.decimals)), make("td", "", rank), make("td", "", String(n)),
      make("td", "", n > 1 ? number((100 * below) / (n - 1), 1) : "–"));
    return item;
  };
  const table = (finder, measures, unit, words) => {
    const box = make("div", "scroll");
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", words);
    box.tabIndex = 0;
    const made = make("table", "unit-scores");
    const head = make("tr");
    for (const [text, name] of [["Evaluation", "text"], ["Metric", "text"], ["Score", ""], ["Rank", ""], ["of n scored units", ""], ["Percentile", ""]]) {
      const cell = make("th", name, text);
      cell.scope = "col";
      head.append(cell);
    }
    made.createTHead().append(head);
    made.createTBody().append(...measures.map(([measure, m]) => line(finder, measure, m, unit)));
    box.append(made);
    return box;
  };
  const scores = (place, finder, unit) => {
    const part = make("section");
    const all = place.measures.map((measure, m) => [measure, m]);
    const [shown, rest] = [all.filter(([measure]) => measure.main), all.filter(([measure]) => !measure.main)];
    part.append(make("h2", "", "Scores"),
      make("p", "lead", "Rank 1 is the best of the method's scored units; equal scores share ranks. The percentile is the share of the other units that score lower, equal ones counted half."),
      table(finder, shown, unit, "scores under every metric"));
    if (rest.length) {
      const more = make("details");
      more.append(make("summary", "", `${count(rest.length, "score")} at other values of a parameter, or under parts of a metric`), table(finder, rest, unit, "further scores"));
      part.append(more);
    }
    return part;
  };

  // ---- the view itself
  const parse = () => {
    const [kind, p, label, unit, ...more] = location.hash.slice(1).split("/");
    if (kind !== "unit") return null;
    try {
      return more.length ? {} : { p, label: decodeURIComponent(label), unit: /^\d+$/.test(unit) ? Number(unit) : NaN };
    } catch {
      return {};
    }
  };
  const heading = (text, small) => {
    const title = make("h1", "", text);
    title.tabIndex = -1;
    if (small) title.append(" ", make("span", "on", small));
    return title;
  };
  const copy = () => {
    const button = make("button", "", "Copy link");
    button.type = "button";
    const told = make("span", "info");
    told.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      const address = location.href.replace(/\?[^#]*/, "");
      try {
        await navigator.clipboard.writeText(address);
        told.textContent = "Copied.";
      } catch {
        told.textContent = address; // no clipboard here: the reader can select it
      }
    });
    return [button, told];
  };
  const nothing = (why) => {
    view.replaceChildren(heading("No such unit"), make("p", "", why), to("#", "To the top of the page"));
  };
  const fill = async (route) => {
    const place = index.places[route.p];
    const f = place ? place.finders.findIndex((finder) => finder.label === route.label) : -1;
    if (f < 0) { nothing("This page has no method of that name at that place."); return; }
    const { k, written } = place.finders[f];
    if (!(route.unit < k)) { nothing(`${route.label} has the units 0 to ${k - 1}.`); return; }
    if (!written) { nothing(`The units of ${route.label} are left out of this file for want of room.`); return; }
    const finder = await units(route.p, f);
    const { unit } = route;
    const bar = make("nav", "unit-bar");
    bar.setAttribute("aria-label", "Units");
    bar.append(to(`#explorer-${route.p}`, "All units"));
    if (unit > 0) bar.append(to(link(route.p, route.label, unit - 1), `← unit ${unit - 1}`));
    if (unit < k - 1) bar.append(to(link(route.p, route.label, unit + 1), `unit ${unit + 1} →`));
    bar.append(...copy());
    view.replaceChildren(bar, heading(`Unit ${unit} of ${route.label}`, `${place.layer} of ${place.model} on ${place.dataset}`),
      large(place, finder.top(unit), "Most activating images"), large(place, finder.bottom(unit), "Least activating images"),
      responses(finder, unit), scores(place, finder, unit), iibench.unitTrials(place, finder, unit));
  };

  let before = null; // where the reader was when the first unit was opened
  const leave = () => {
    if (view.hidden) return;
    view.hidden = true;
    view.replaceChildren();
    redraw = () => {};
    document.body.classList.remove("one-unit");
    document.title = before.title;
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { /* a stray % in a typed address */ }
    const target = name && document.getElementById(name);
    if (before.focus && before.hash === location.hash) {
      window.scrollTo(0, before.scroll);
      before.focus.focus({ preventScroll: true });
    } else if (target) {
      target.scrollIntoView();
      const title = target.querySelector("summary, [tabindex='-1']");
      if (title) title.focus({ preventScroll: true });
    }
  };
  let came = location.hash; // the hash before the last change
  let turn = 0;
  const follow = async () => {
    const route = parse();
    const from = came;
    came = location.hash;
    if (!route) { turn += 1; leave(); return; }
    const mine = (turn += 1);
    if (view.hidden) before = { title: document.title, scroll: window.scrollY, focus: document.activeElement, hash: from === location.hash ? "" : from };
    view.hidden = false;
    document.body.classList.add("one-unit");
    view.dataset.shown = "";
    redraw = () => {};
    try {
      await fill(route);
    } catch (error) {
      if (mine === turn) failed(view, error);
    }
    if (mine !== turn) return;
    view.dataset.shown = location.hash;
    const title = view.querySelector("h1");
    if (!title) return;
    document.title = `${title.textContent} · ${before.title}`;
    window.scrollTo(0, 0);
    title.focus({ preventScroll: true });
  };
  window.addEventListener("hashchange", follow);
  document.addEventListener("iibench:theme", () => redraw());
  follow();
});
