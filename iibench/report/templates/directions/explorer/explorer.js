// The unit explorer: units of a place sorted by any score, with their images and numbers.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const { index, number, short, count, make, breakable, option, state, row, units, places, title, link, near, failed } = window.iibench.units;
  const PAGE = 24;
  const METRICS = 6; // rows of scores on a card; the unit's page has all of them
  const FACTS = { sparseness: "sparseness of responses", range: "range of responses", unit: "unit number" };
  const joined = (texts) => texts.map(encodeURIComponent).join("|");
  const parted = (text) => {
    try { return text.split("|").map(decodeURIComponent); } catch { return []; }
  };

  // ---- what can be sorted by
  const keyOf = (measure) => joined([measure.evaluation, measure.metric]);
  const offer = (select, place, facts) => {
    const groups = new Map();
    place.measures.forEach((measure) => {
      if (!groups.has(measure.evaluation)) groups.set(measure.evaluation, []);
      groups.get(measure.evaluation).push(measure);
    });
    for (const [evaluation, measures] of groups) {
      const group = make("optgroup");
      group.label = evaluation;
      group.append(...measures.map((measure) => option(title(measure), keyOf(measure))));
      select.append(group);
    }
    if (facts) {
      const group = make("optgroup");
      group.label = "without a metric";
      group.append(...Object.entries(FACTS).map(([key, text]) => option(text, key)));
      select.append(group);
    }
  };
  const measureOf = (place, key) => place.measures.findIndex((measure) => keyOf(measure) === key);
  const valuesOf = (place, finder, key) => {
    if (key === "unit") return Float64Array.from({ length: finder.k }, (_, unit) => unit);
    if (key in FACTS) return finder[key]();
    return finder.scores(measureOf(place, key));
  };
  const decimalsOf = (place, key) => (key === "unit" ? 0 : key in FACTS ? 4 : place.measures[measureOf(place, key)].decimals);
  const nameOf = (place, key) => FACTS[key] || title(place.measures[measureOf(place, key)]);

  // ---- which units are asked for: "12", "3, 7, 10-20"; null: all of them
  const numbers = (text) => {
    const spans = (text || "").split(",").map((part) => /^\s*(\d+)\s*(?:[-–]\s*(\d+)\s*)?$/.exec(part)).filter(Boolean);
    return spans.length ? (unit) => spans.some(([, low, high]) => unit >= Number(low) && unit <= Number(high || low)) : null;
  };
  const bound = (text, none) => {
    const value = Number(String(text || "").trim().replace("−", "-"));
    return String(text || "").trim() === "" || Number.isNaN(value) ? none : Math.fround(value);
  };

  // entries [finder, unit, value, difference, [place, n], [place, n]] in the chosen order
  const sorted = (place, chosen, asked) => {
    const wanted = numbers(asked.unit);
    const [low, high] = [bound(asked.min, -Infinity), bound(asked.max, Infinity)];
    const ranged = low !== -Infinity || high !== Infinity;
    const entries = [];
    for (const finder of chosen) {
      const values = valuesOf(place, finder, asked.sort);
      const others = asked.second ? valuesOf(place, finder, asked.second) : null;
      const first = others && values ? places(values) : null;
      const second = others ? places(others) : null;
      for (let unit = 0; unit < finder.k; unit += 1) {
        const value = values ? values[unit] : NaN;
        if (wanted && !wanted(unit)) continue;
        if (ranged && !(value >= low && value <= high)) continue;
        const entry = { finder, unit, value, by: value };
        if (asked.second) {
          entry.first = first ? [first[0][unit], first[1]] : [NaN, 0];
          entry.second = second ? [second[0][unit], second[1]] : [NaN, 0];
          entry.by = Math.abs((entry.first[0] - 0.5) / entry.first[1] - (entry.second[0] - 0.5) / entry.second[1]);
        }
        entries.push(entry);
      }
    }
    const direction = asked.dir === "asc" ? 1 : -1;
    const missing = (x) => (Number.isNaN(x) ? 1 : 0);
    return entries.sort((a, b) => missing(a.by) - missing(b.by) || (missing(a.by) ? 0 : direction * (a.by - b.by)));
  };

  // ---- a card
  const bars = (histogram) => {
    const most = Math.sqrt(Math.max(1, ...histogram.counts));
    const n = histogram.counts.length;
    const corners = ["0% 100%"];
    histogram.counts.forEach((value, i) => {
      const y = `${(100 - (Math.sqrt(value) / most) * 100).toFixed(1)}%`;
      corners.push(`${((i / n) * 100).toFixed(2)}% ${y}`, `${(((i + 1) / n) * 100).toFixed(2)}% ${y}`);
    });
    const shape = make("span", "bars");
    shape.style.clipPath = `polygon(${corners.join(",")},100% 100%)`;
    return shape;
  };
  const responses = (finder, unit) => {
    const histogram = finder.histogram(unit);
    if (!histogram) return make("p", "info", "Responses are not on record.");
    const box = make("div", "responses");
    const n = histogram.counts.reduce((sum, value) => sum + value, 0);
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", `histogram of ${count(n, "response")} from ${short(histogram.low)} to ${short(histogram.high)}`);
    box.title = `${count(n, "response")}; heights are square roots of counts`;
    box.append(bars(histogram), make("span", "low", short(histogram.low)), make("span", "high", short(histogram.high)));
    return box;
  };
  const scores = (place, finder, unit) => {
    const main = place.measures.map((measure, m) => ({ ...measure, m })).filter((measure) => measure.main);
    const columns = [...new Set(main.map((measure) => measure.column))];
    const metrics = [...new Set(main.map((measure) => measure.metric))];
    const table = make("table", "scores");
    const head = make("tr");
    head.append(make("th", "text", "Metric"), ...columns.map((name) => breakable(make("th"), name)));
    table.createTHead().append(head);
    const body = table.createTBody();
    for (const metric of metrics.slice(0, METRICS)) {
      const line = make("tr");
      const name = breakable(make("th", "text"), metric);
      name.scope = "row";
      line.append(name);
      for (const column of columns) {
        const measure = main.find((one) => one.metric === metric && one.column === column);
        const values = measure ? finder.scores(measure.m) : null;
        const value = values ? values[unit] : NaN;
        const cell = make("td", "", number(value, measure ? measure.decimals : 0));
        if (measure && Number.isNaN(value)) cell.title = finder.reason(measure.m, unit);
        line.append(cell);
      }
      body.append(line);
    }
    head.querySelectorAll("th").forEach((cell) => { cell.scope = "col"; });
    const left = metrics.length - METRICS;
    return left > 0 ? [table, make("p", "info", `and ${count(left, "metric")} more on the unit's page`)] : [table];
  };
  const where = ([at, n]) => (Number.isNaN(at) ? "unscored" : `${Number.isInteger(at) ? at : at.toFixed(1)} of ${n}`);
  const card = (p, place, entry, asked) => {
    const { finder, unit } = entry;
    const item = make("li", "unit-card");
    const head = make("h4");
    const to = make("a", "", `unit ${unit}`);
    to.href = link(p, finder.label, unit);
    head.append(to, make("span", "of", finder.label));
    const value = make("p", "value");
    value.append(make("b", "", number(entry.value, decimalsOf(place, asked.sort))), ` ${nameOf(place, asked.sort)}`);
    if (Number.isNaN(entry.value) && !(asked.sort in FACTS)) value.append(`: ${finder.reason(measureOf(place, asked.sort), unit)}`);
    item.append(head, value);
    if (asked.second) item.append(make("p", "info", `rank ${where(entry.first)}, and ${where(entry.second)} under ${nameOf(place, asked.second)}`));
    const images = (side, words) => {
      const found = side(unit);
      if (!found.length) return [];
      const about = found.map(([image, response]) => [image, `response ${short(response)}`]);
      return [make("p", "side", `${words} activating`), row(place.dataset, about, `images that activate unit ${unit} ${words}`)];
    };
    item.append(...images(finder.top, "most"), ...images(finder.bottom, "least"));
    item.append(responses(finder, unit), ...scores(place, finder, unit));
    return item;
  };

  // ---- the explorer of a place
  const start = async (section, p) => {
    const place = index.places[p];
    const prefix = `x${p}.`;
    const form = section.querySelector("form");
    const field = Object.fromEntries(["sort", "dir", "second", "min", "max", "unit"].map((name) => [name, form.elements.namedItem(name)]));
    const pager = section.querySelector(".pager");
    const box = pager.querySelector("input");
    const cards = section.querySelector(".unit-cards");
    const told = section.querySelector(".told");
    const methods = place.finders.map((finder, f) => ({ ...finder, f })).filter((finder) => finder.written);
    const ticks = methods.map((finder) => {
      const label = make("label");
      const tick = make("input");
      tick.type = "checkbox";
      label.append(tick, ` ${finder.label} `, make("span", "info", `${finder.k}`));
      form.querySelector(".methods").append(label);
      return tick;
    });
    offer(field.sort, place, true);
    field.second.append(option("nothing", ""));
    offer(field.second, place, false);
    const first = { sort: field.sort.options.length ? field.sort.options[0].value : "unit", dir: "desc", second: "", min: "", max: "", unit: "" };
    let page = 1;
    const fill = () => {
      const chosen = parted(state.get(`${prefix}m`) || "").filter((label) => methods.some((finder) => finder.label === label));
      ticks.forEach((tick, i) => { tick.checked = chosen.length ? chosen.includes(methods[i].label) : i === 0; });
      for (const [name, input] of Object.entries(field)) {
        const value = state.get(prefix + name);
        input.value = value === null ? first[name] : value;
        if (input.tagName === "SELECT" && input.selectedIndex < 0) input.value = first[name];
      }
      page = Math.max(1, Number.parseInt(state.get(`${prefix}page`), 10) || 1);
    };
    const keep = () => {
      const chosen = methods.filter((_, i) => ticks[i].checked);
      const usual = chosen.length === 1 && chosen[0] === methods[0];
      state.set(`${prefix}m`, usual ? null : joined(chosen.map((finder) => finder.label)));
      for (const [name, input] of Object.entries(field)) state.set(prefix + name, input.value === first[name] ? null : input.value);
      state.set(`${prefix}page`, page === 1 ? null : String(page));
    };
    let turn = 0;
    const show = async () => {
      const mine = (turn += 1);
      const asked = Object.fromEntries(Object.entries(field).map(([name, input]) => [name, input.value]));
      const chosen = await Promise.all(methods.filter((_, i) => ticks[i].checked).map((finder) => units(p, finder.f)));
      if (mine !== turn) return; // a later choice is being shown
      const entries = sorted(place, chosen, asked);
      const pages = Math.max(1, Math.ceil(entries.length / PAGE));
      page = Math.min(page, pages);
      cards.replaceChildren(...entries.slice((page - 1) * PAGE, page * PAGE).map((entry) => card(p, place, entry, asked)));
      const without = entries.filter((entry) => Number.isNaN(entry.by)).length;
      const order = asked.second
        ? `by how much their ranks under ${nameOf(place, asked.sort)} and ${nameOf(place, asked.second)} differ, ${asked.dir === "asc" ? "least" : "most"} first`
        : `by ${nameOf(place, asked.sort)}, ${asked.dir === "asc" ? "lowest" : "highest"} first`;
      const missing = without ? `; ${count(without, "unit")} without a value last` : "";
      told.textContent = chosen.length ? `${count(entries.length, "unit")}, sorted ${order}${missing}.` : "No method is chosen.";
      pager.hidden = pages === 1;
      box.value = String(page);
      pager.querySelector(".of").textContent = `of ${pages}`;
      const [toFirst, back, on, toLast] = pager.querySelectorAll("button");
      [toFirst, back].forEach((button) => { button.disabled = page === 1; });
      [on, toLast].forEach((button) => { button.disabled = page === pages; });
      pager.dataset.pages = String(pages);
      section.dataset.shown = String(turn);
    };
    const change = () => {
      keep();
      show().catch((error) => failed(cards, error));
    };
    const again = () => {
      fill();
      show().catch((error) => failed(cards, error));
    };
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => { page = 1; change(); });
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      state.reset(prefix);
    });
    document.addEventListener("iibench:state", () => again());
    const turnTo = (wanted) => {
      page = Math.min(Math.max(1, wanted || 1), Number(pager.dataset.pages));
      change();
      told.scrollIntoView({ block: "nearest" });
    };
    pager.addEventListener("click", (event) => {
      const { step } = event.target.dataset;
      if (step) turnTo({ first: 1, previous: page - 1, next: page + 1, last: Number(pager.dataset.pages) }[step]);
    });
    box.addEventListener("change", () => turnTo(Number.parseInt(box.value, 10)));
    fill();
    form.hidden = false;
    const lost = [];
    if (index.not_stored) lost.push(`${count(index.not_stored, "image")} not kept in the run folder`);
    if (index.no_room) lost.push(`${count(index.no_room, "image")} left out for want of room in this file`);
    if (lost.length) form.after(make("p", "info", `Shown as “?”: ${lost.join(", ")}.`));
    const left = place.finders.filter((finder) => !finder.written).map((finder) => finder.label);
    if (left.length) form.after(make("p", "info", `Left out for want of room in this file: ${left.join(", ")}.`));
    await show();
  };

  for (const section of document.querySelectorAll(".explorer[data-place]")) {
    const p = section.dataset.place;
    if (!index.places[p]) section.hidden = true;
    else near(section, () => start(section, p).catch((error) => failed(section.querySelector(".unit-cards"), error)));
  }
});
