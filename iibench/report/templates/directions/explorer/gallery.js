// Most activating images: one score, two methods side by side.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const { iibench } = window;
  const { index, number, make, pictures, row, link, near, failed } = iibench.units;
  const unique = (values) => [...new Set(values)];
  const fill = (select, values, chosen) => {
    select.replaceChildren(...values.map((text) => new Option(text, text, false, text === chosen)));
  };
  const quantile = (q) => ({ 0: "lowest", 0.5: "median", 1: "highest" }[q] || `${q} quantile`);

  const start = async (gallery, p) => {
    const place = index.places[p];
    const [entries] = await Promise.all([iibench.load(`gallery-${p}`), pictures()]);
    const measure = gallery.querySelector(".measure");
    const panels = [...gallery.querySelectorAll(".panel")];
    const unitRow = (entry, unit) => {
      const line = make("div", "unit");
      const about = make("div", "about");
      const to = make("a", "", `unit ${unit.unit}`);
      to.href = link(p, entry.finder, unit.unit);
      about.append(make("b", "", number(unit.score, entry.decimals)), make("span", "", quantile(unit.q)), to);
      const images = unit.images.map((image, rank) => [image, `number ${rank + 1} of unit ${unit.unit} of ${entry.finder}`]);
      line.append(about, row(place.dataset, images, `images that activate unit ${unit.unit} of ${entry.finder} most`));
      return line;
    };
    const show = (panel) => {
      const finder = panel.querySelector(".finder").value;
      const entry = entries.find((e) => e.finder === finder && e.measure === measure.value);
      panel.querySelector(".units").replaceChildren(...(entry ? entry.units.map((u) => unitRow(entry, u)) : []));
    };
    const offer = (first) => {
      const finders = unique(entries.filter((e) => e.measure === measure.value).map((e) => e.finder));
      panels.forEach((panel, i) => {
        const select = panel.querySelector(".finder");
        const wanted = first ? place.compared[i] : select.value;
        fill(select, finders, finders.includes(wanted) ? wanted : finders[Math.min(i, finders.length - 1)]);
        show(panel);
      });
    };
    fill(measure, unique(entries.map((e) => e.measure)));
    measure.addEventListener("change", () => offer(false));
    panels.forEach((panel) => panel.querySelector(".finder").addEventListener("change", () => show(panel)));
    offer(true);
    gallery.dataset.ready = "yes";
  };

  for (const gallery of document.querySelectorAll(".gallery[data-place]")) {
    const p = gallery.dataset.place;
    if (!index.places[p] || !index.places[p].gallery) gallery.hidden = true;
    else near(gallery, () => start(gallery, p).catch((error) => failed(gallery.querySelector(".panels"), error)));
  }
});
