// Plots: drawn by plotly when they come near, in the theme's colours, each with its data to save.
(() => {
  "use strict";
  const plots = [...document.querySelectorAll(".plot")];
  if (!plots.length) return;
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  // points in one of the colourings that their trace offers: by numbers, own colours or classes
  const coloured = (trace, choice) => {
    const { name, kind, values, classes } = trace.meta.choices[choice];
    const columns = { ...trace.meta.columns, [name]: "text" };
    const meta = { ...trace.meta, columns };
    if (kind === "classes") {
      return classes.map((label, code) => {
        const kept = values.flatMap((value, i) => (value === code ? [i] : []));
        const of = (all) => kept.map((i) => all[i]);
        return {
          ...trace, meta, name: label, legendgroup: label, x: of(trace.x), y: of(trace.y), customdata: of(trace.customdata),
          text: kept.map(() => label), hovertemplate: "%{text}<extra></extra>",
          marker: { size: 8, color: `@c${code % 7}`, symbol: ["circle", "square", "diamond", "cross", "x"][code % 5] },
        };
      });
    }
    const numbers = kind === "numbers";
    const marker = { size: 8, color: values, line: { width: 0.5, color: "@fg/0.4" } };
    const scale = { colorscale: "Cividis", showscale: true, colorbar: { thickness: 12, outlinewidth: 0 } };
    return [{
      ...trace, meta, marker: numbers ? { ...marker, ...scale } : marker, text: values, showlegend: false,
      hovertemplate: numbers ? "%{text:.4g}<extra></extra>" : "%{text}<extra></extra>",
    }];
  };
  const figure = async (element) => {
    const found = (await iibench.load(element.dataset.plots))[element.id];
    const choice = element.dataset.choice || 0;
    const data = found.data.flatMap((trace) => (trace.meta && trace.meta.choices ? coloured(trace, choice) : [trace]));
    return { ...found, data };
  };

  // ---- colours are tokens (@c0, @fg/0.4) that stand for the theme's colours
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
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
  const { plain } = iibench;

  // ---- the legend: a list of boxes to tick, for the keyboard as for the pointer
  const group = (trace) => trace.legendgroup || trace.name;
  const named = (trace) => trace.showlegend !== false && trace.name;
  const hidden = new WeakMap(); // plot -> groups that are ticked off
  const swatch = (trace) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    svg.setAttribute("class", "swatch");
    svg.setAttribute("aria-hidden", "true");
    for (const [name, v] of Object.entries({ x1: 0, x2: 26, y1: 6, y2: 6 })) line.setAttribute(name, v);
    const look = trace.line || trace.marker || {};
    line.style.stroke = `var(--${(look.color || "@fg").slice(1).split("/")[0]})`;
    const dashes = { dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "11 4" };
    line.style.strokeDasharray = dashes[look.dash] || "none";
    svg.append(line);
    return svg;
  };
  const legend = (element, { data, layout }) => {
    if (layout.showlegend === false || hidden.has(element)) return;
    const off = new Set(data.filter((t) => t.visible === "legendonly").map(group));
    hidden.set(element, off);
    const entries = data.filter(named);
    if (!entries.length) return;
    const box = make("fieldset", "legend");
    const heading = layout.legend && layout.legend.title && layout.legend.title.text;
    box.append(make("legend", "", heading ? plain(heading) : "Shown"));
    for (const trace of entries) {
      const label = make("label");
      const tick = make("input");
      tick.type = "checkbox";
      tick.checked = !off.has(group(trace));
      tick.addEventListener("change", () => {
        if (tick.checked) off.delete(group(trace)); else off.add(group(trace));
        draw(element);
      });
      label.append(tick, swatch(trace), make("span", "", plain(trace.name)));
      box.append(label);
    }
    element.after(box);
  };

  const draw = async (element) => {
    element.dataset.asked = "yes"; // a change of theme while it is drawn must draw it again
    try {
      const [found] = await Promise.all([figure(element), iibench.library("plotly.min.js")]);
      legend(element, found);
      const { data, layout } = themed(found);
      const off = hidden.get(element) || new Set();
      for (const trace of data) if (group(trace)) trace.visible = !off.has(group(trace));
      const narrow = element.clientWidth < 480;
      const full = {
        ...layout, showlegend: false,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, sans-serif", size: narrow ? 11 : 12, color: css("fg") },
        margin: { l: 10, r: 10, t: 10, b: 10, pad: 2 },
        hoverlabel: { font: { family: "system-ui, sans-serif" } },
        xaxis: axis(layout.xaxis, narrow), yaxis: axis(layout.yaxis, narrow), dragmode: false,
      };
      const options = { responsive: true, displaylogo: false, displayModeBar: false };
      await window.Plotly.react(element, data, full, options);
      element.dataset.drawn = "yes";
      element.dispatchEvent(new Event("iibench:drawn", { bubbles: true }));
    } catch (error) {
      element.style.height = "auto";
      element.textContent = `The plot cannot be drawn: ${error.message}.`;
    }
  };
  // another colouring has another legend
  plots.forEach((plot) => plot.addEventListener("iibench:choose", () => {
    hidden.delete(plot);
    const next = plot.nextElementSibling;
    if (next && next.matches(".legend")) next.remove();
    if (plot.dataset.asked) draw(plot);
  }));
  // plotly is large: until the reader scrolls it is loaded only for a plot that can be seen
  const waiting = new Set(plots);
  const watch = (margin) => {
    const observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || !waiting.delete(target)) continue;
        observer.unobserve(target);
        draw(target);
      }
    }, { rootMargin: margin });
    waiting.forEach((plot) => observer.observe(plot));
    return observer;
  };
  const seen = watch("0px");
  addEventListener("scroll", () => { seen.disconnect(); watch("800px"); }, { once: true, passive: true });
  // what is loaded already is drawn before the page goes to the printer
  addEventListener("beforeprint", () => {
    if (window.Plotly) plots.filter((p) => p.clientWidth && waiting.delete(p)).forEach(draw);
  });
  document.addEventListener("iibench:theme", () => plots.filter((p) => p.dataset.asked).forEach(draw));

  // ---- data: a line per value drawn, in the columns that the traces name
  const read = (trace, path, i) => path.split(".").reduce((found, key, depth) => {
    const next = found === undefined || found === null ? undefined : found[key];
    return depth === 0 && Array.isArray(next) ? next[i] : next;
  }, trace);
  const decoded = (value) => (typeof value === "string" ? plain(value) : value);
  const columnsOf = (trace, layout) => {
    if (trace.meta && trace.meta.columns) return trace.meta.columns;
    const title = (name) => plain((layout[`${name}axis`] && layout[`${name}axis`].title || {}).text || name);
    return trace.hoverinfo === "skip" ? {} : { [title("x")]: "x", [title("y")]: "y" };
  };
  const series = (trace) => {
    const tip = /<extra>(.*)<\/extra>/.exec(trace.hovertemplate || "");
    return plain((trace.meta && trace.meta.series) || trace.name || (tip && tip[1]) || "");
  };
  const quoted = (value) => {
    if (value === undefined || value === null) return "";
    if (typeof value === "number") return String(value);
    const text = String(value);
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // a spreadsheet would compute it
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  // a heat map has a line per cell
  const cells = (trace) => {
    const lines = [trace.meta.matrix.map(quoted).join(",")];
    trace.y.forEach((y, i) => trace.x.forEach((x, j) => {
      lines.push([decoded(x), decoded(y), trace.z[i][j]].map(quoted).join(","));
    }));
    return `${lines.join("\n")}\n`;
  };
  const csv = ({ data, layout }) => {
    if (data[0] && data[0].meta && data[0].meta.matrix) return cells(data[0]);
    const described = data.map((trace) => [trace, columnsOf(trace, layout)]);
    const names = [...new Set(described.flatMap(([, columns]) => Object.keys(columns)))];
    const lines = [["series", ...names].map(quoted).join(",")];
    for (const [trace, columns] of described) {
      const paths = Object.values(columns);
      const length = paths.length && (trace[paths[0].split(".")[0]] || []).length;
      for (let i = 0; i < length; i += 1) {
        const cells = names.map((name) => (columns[name] ? decoded(read(trace, columns[name], i)) : undefined));
        lines.push([series(trace), ...cells].map(quoted).join(","));
      }
    }
    return `${lines.join("\n")}\n`;
  };
  for (const button of document.querySelectorAll("button.csv")) {
    button.hidden = false;
    const element = document.getElementById(button.dataset.plot);
    button.setAttribute("aria-label", `Data (CSV) of: ${element.getAttribute("aria-label")}`);
    button.addEventListener("click", async () => {
      const link = make("a");
      link.href = URL.createObjectURL(new Blob([csv(await figure(element))], { type: "text/csv" }));
      link.download = `${element.id}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }
})();
