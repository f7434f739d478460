// Analyses: maps of images with a choice of colours and the images themselves, rows of images, links to units.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const { iibench } = window;
  const { index, make, pictures, picture, paint, row, link, near, failed } = iibench.units;
  const about = (element) => element.closest(".found").dataset; // place, dataset, finder

  // ---- rows of images
  for (const element of document.querySelectorAll(".image-rows")) {
    near(element, async () => {
      try {
        const [data] = await Promise.all([iibench.load(element.dataset.rows), pictures()]);
        element.replaceChildren(...data[element.id].rows.map(({ text, images }) => {
          const line = make("div", "image-row");
          line.append(make("span", "words", text), row(about(element).dataset, images.map((image, i) => [image, `number ${i + 1} of ${text}`]), text));
          return line;
        }));
        element.dataset.drawn = "yes";
      } catch (error) {
        failed(element, error);
      }
    });
  }

  // ---- a point of a direction leads to its page; a point of a map shows its image
  const follow = (element) => {
    const { place: p, finder } = about(element);
    const known = index.places[p] && index.places[p].finders.some((f) => f.label === finder && f.written);
    element.on("plotly_click", ({ points: [point] }) => {
      if (known && point.data.meta && point.data.meta.units) location.hash = link(p, finder, [point.customdata].flat()[0]);
    });
  };
  const preview = (element) => {
    const box = make("div", "preview");
    box.hidden = true;
    element.append(box);
    element.on("plotly_hover", ({ points: [point] }) => {
      const shown = picture(about(element).dataset, point.customdata, "");
      const said = make("span", "", point.text === undefined ? `image ${point.customdata}` : `image ${point.customdata}: ${iibench.plain(point.text)}`);
      box.replaceChildren(shown, said);
      const { xaxis, yaxis } = element._fullLayout;
      const x = xaxis.l2p(point.x) + xaxis._offset;
      box.style.top = `${yaxis.l2p(point.y) + yaxis._offset}px`;
      box.style.left = `${x}px`;
      box.dataset.side = x > element.clientWidth / 2 ? "left" : "right";
      box.hidden = false;
    });
    element.on("plotly_unhover", () => { box.hidden = true; });
  };
  // the images at their places, over the points
  const SIDE = 22;
  const images = (element, on) => {
    let canvas = element.querySelector("canvas.over");
    if (!on) { if (canvas) canvas.remove(); return; }
    if (!canvas) {
      canvas = make("canvas", "over");
      canvas.setAttribute("aria-hidden", "true");
      element.append(canvas);
    }
    const scale = window.devicePixelRatio || 1;
    canvas.width = element.clientWidth * scale;
    canvas.height = element.clientHeight * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.imageSmoothingEnabled = false;
    const { xaxis, yaxis } = element._fullLayout;
    const side = element.clientWidth < 600 ? SIDE * 0.6 : SIDE;
    for (const trace of element.data) {
      trace.customdata.forEach((image, i) => {
        const x = xaxis.l2p(trace.x[i]) + xaxis._offset;
        const y = yaxis.l2p(trace.y[i]) + yaxis._offset;
        paint(about(element).dataset, image, context, x - side / 2, y - side / 2, side);
      });
    }
    canvas.dataset.drawn = "yes";
  };
  document.addEventListener("iibench:drawn", ({ target: element }) => {
    if (!element.closest(".analyses") || element.dataset.followed) return;
    element.dataset.followed = "yes";
    follow(element);
  });
  for (const controls of document.querySelectorAll("[data-map]")) {
    const element = document.getElementById(controls.dataset.map);
    const [choice, shown] = [controls.querySelector(".choice"), controls.querySelector(".thumbnails")];
    const redraw = () => { if (element.dataset.drawn) images(element, shown.checked); };
    controls.hidden = false;
    choice.addEventListener("change", () => {
      element.dataset.choice = choice.value;
      element.dispatchEvent(new Event("iibench:choose"));
    });
    shown.addEventListener("change", redraw);
    element.addEventListener("iibench:drawn", async () => {
      try {
        await pictures();
      } catch (error) {
        shown.disabled = true; // the points are shown without their images
        return;
      }
      if (!element.dataset.previews) {
        element.dataset.previews = "yes";
        preview(element);
        element.on("plotly_afterplot", redraw);
      }
      redraw();
    });
  }
});
